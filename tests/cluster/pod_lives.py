"""When each pod of a shard was there, from the audit log: were there ever two of one account at the same time?

Pure; the judge of the tests that kill the operator. A pod was there from the answer to its creation on, and until
the last call that removed it came: of those two times both are safe, so what is found did happen.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.cluster.box.audit import Call


@dataclass(frozen=True)
class Life:
    """One pod; `until` is '' while it is there. Times as `Call` has them."""

    name: str
    since: str
    until: str = ""


def lives(calls: Iterable[Call]) -> Mapping[str, list[Life]]:
    """Give the pods of each account, by namespace/account, in the order of their making."""
    made: dict[tuple[str, str], str] = {}
    removed: dict[tuple[str, str], str] = {}
    for call in calls:
        key = call.namespace, call.name
        if call.resource != "pods" or not call.ok:
            continue
        if call.verb == "create":
            made[key] = call.time
        elif call.verb == "delete":
            # To be removed from a node takes two calls: the wish, and the node's word that nothing runs any more.
            removed[key] = max(call.asked, removed.get(key, ""))
    found = defaultdict(list)
    for (namespace, name), since in sorted(made.items(), key=lambda item: item[1]):
        account = name.rpartition("-")[0]
        found[f"{namespace}/{account}"].append(Life(name, since, removed.get((namespace, name), "")))
    return found


def overlaps(calls: Iterable[Call]) -> list[tuple[str, str]]:
    """Give the pairs of pods of one account that were there at the same time."""
    found = []
    for of_one in lives(calls).values():
        for number, later in enumerate(of_one):
            found += [(each.name, later.name) for each in of_one[:number] if not each.until or later.since < each.until]
    return found
