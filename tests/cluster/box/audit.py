"""Count who called the API server, from a box's audit log; used by tests that keep to a budget of calls."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FAILED = 300
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Call:
    """One answered call: `resource` is like `pods` or `bridgeaccounts/status`, `code` the HTTP status.

    `user` is like `system:serviceaccount:NAMESPACE:NAME`.
    """

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    time: str
    """When it was answered, RFC 3339 with microseconds: as text it sorts as time does."""
    asked: str
    """When it came."""

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.code < _FAILED


def calls(path: Path, offset: int = 0) -> list[Call]:
    """Every answered call in the log from byte `offset` on (take the file's size before what shall be counted)."""
    with path.open("rb") as log:
        log.seek(offset)
        return list(parsed(log))


def parsed(lines: Iterable[bytes]) -> Iterator[Call]:
    """The calls in lines of the log; the last line may be half written and is then left out, as is what is no call."""
    for line in lines:
        if not line.endswith(b"\n"):
            return
        event = json.loads(line)
        target = event.get("objectRef", {})
        if event["stage"] != "ResponseComplete" or "resource" not in target:
            continue
        part = f"/{target['subresource']}" if "subresource" in target else ""
        yield Call(
            event["user"]["username"],
            event["verb"],
            target["resource"] + part,
            target.get("namespace", ""),
            target.get("name", ""),
            event["responseStatus"]["code"],
            event["stageTimestamp"],
            event["requestReceivedTimestamp"],
        )


def counted(found: Iterable[Call], user: str = "") -> Counter[tuple[str, str]]:
    """How often each (verb, resource) was called, by users whose name ends with `user`."""
    return Counter((call.verb, call.resource) for call in found if call.user.endswith(user))


def writing(found: Iterable[Call]) -> list[Call]:
    """The calls that changed or tried to change something, Leases left out (they are renewed for ever)."""
    return [call for call in found if call.verb in WRITES and call.resource != "leases"]


def writes(found: Iterable[Call], user: str = "") -> int:
    """How many of a user's calls changed or tried to change something, as `writing` has it."""
    return len(writing(call for call in found if call.user.endswith(user)))
