"""What to send so that one status becomes another: a JSON merge patch (RFC 7386). Pure; for the cluster's drivers.

A part that another program writes is never in it, whatever we believe of it.
"""

from collections.abc import Iterable
from typing import Any, Final

from ponton_operator.resources.base import Condition, K8s
from ponton_operator.resources.gateway import BridgeGateway

Obj = dict[str, Any]
FOREIGN: Final = frozenset({"scaling"})  # written by the scaler


def status_patch(before: K8s, after: K8s, foreign: frozenset[str] = FOREIGN) -> Obj:
    """Give the patch for the status, {} when nothing is to be written."""
    old, new = (part.model_dump(mode="json", by_alias=True) for part in (before, after))
    return {key: value for key, value in merge_patch(old, new).items() if key not in foreign}


def conditions_patch(gateway: BridgeGateway, conditions: Iterable[Condition]) -> Obj:
    """Give the patch for all conditions of a gateway, if it is as it was read: others write into the same list."""
    return {
        "metadata": {"resourceVersion": gateway.metadata.resource_version},
        "status": {"conditions": [one.model_dump(mode="json", by_alias=True) for one in conditions]},
    }


def merge_patch(before: Obj, after: Obj) -> Obj:
    """Give what makes `after` of `before`; null removes a field.

    >>> merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "d": 3}})
    {'b': {'d': 3}, 'a': None}
    """
    patch: Obj = {}
    for key, value in after.items():
        old = before.get(key)
        if value == old:
            continue
        patch[key] = merge_patch(old, value) if isinstance(old, dict) and isinstance(value, dict) else _said(value)
    return patch | {key: None for key in before if key not in after and before[key] is not None}


def _said(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Leave out what is null inside a new value: in a patch it would only say that there is none."""
    if isinstance(value, dict):
        return {key: _said(inner) for key, inner in value.items() if inner is not None}
    return value
