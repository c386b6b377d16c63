"""What has to be done with each account before the operators go, and how it is told.

Pure; called by `cluster.kube_uninstall`, and its patch by `cluster.kube_leaving`. An account keeps its resource and its
volume. Without the finalizer it can be deleted, and its namespace too, when nobody is there any more to unlink its
device first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ponton_operator.resources.account import FINALIZER

_LISTED: Final = 200  # names in the report; the rest is counted


@dataclass(slots=True)
class Report:
    """What was found and done; accounts are told as namespace/name, which is opaque. `problems` are sentences."""

    released: int = 0
    deleted: int = 0
    ended: int = 0
    linked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def sentences(self) -> Iterable[str]:
        """Tell it to the host."""
        if self.deleted:
            yield f"Deleted: {_count(self.deleted, 'account')}, each with its device, keys and volume."
        yield f"Released: {_count(self.released, 'account')}. They stay as resources, with their volumes."
        yield f"Ended: {_count(self.ended, 'pod')} of shards."
        if self.linked:
            verb = "is" if len(self.linked) == 1 else "are"
            yield f"{_count(len(self.linked), 'device')} {verb} still linked at WhatsApp, until the owner removes it on"
            yield "the phone, or Ponton is installed again and the account deleted:"
            yield from (f"  {name}" for name in self.linked[:_LISTED])
            if len(self.linked) > _LISTED:
                yield f"  and {len(self.linked) - _LISTED} more"
        yield from self.problems


def release(account: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the patch that takes our finalizer off, only if the account is still as it was read; None without one.

    >>> release({"metadata": {"resourceVersion": "7", "finalizers": ["ponton.im/unlink", "other/one"]}})
    {'metadata': {'resourceVersion': '7', 'finalizers': ['other/one']}}
    """
    metadata = account.get("metadata") or {}
    finalizers = metadata.get("finalizers") or []
    if FINALIZER not in finalizers:
        return None
    kept = [name for name in finalizers if name != FINALIZER]
    return {"metadata": {"resourceVersion": metadata.get("resourceVersion", ""), "finalizers": kept}}


def linked(account: Mapping[str, Any]) -> bool:
    """Whether a device of the account is linked at WhatsApp, as far as its status knows."""
    return bool((account.get("status") or {}).get("paired"))


def full_name(account: Mapping[str, Any]) -> str:
    """Give namespace/name."""
    metadata = account.get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
