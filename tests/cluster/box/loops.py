"""What the loops of a box (`volumes`, `enforcer`) share: several watches feeding one picture of the cluster."""

import http.client
import queue
import threading
import time
from pathlib import Path

from tests.cluster.box.api import Api, Object, Refused

_AGAIN = 0.2  # seconds before a watch that ended is begun anew
_WAITING = 1000  # changes read and not yet looked at, over all watches; a full queue slows the watches down

Key = tuple[str, str]
"""Namespace and name."""


class Picture:
    """The objects of some collections, kept current; `next` waits until something has changed, and says what.

    `paths` maps a word of the caller's choice to a collection's path. Until `next` has returned once the picture is
    empty; from then on every collection has been read whole.
    """

    def __init__(self, pki: Path, paths: dict[str, str]) -> None:
        self.objects: dict[str, dict[Key, Object]] = {}
        self._wanted = set(paths)
        self._changes: queue.Queue[tuple[str, str, Object]] = queue.Queue(_WAITING)
        for kind, path in paths.items():
            threading.Thread(target=self._follow, args=(Api(pki), kind, path), daemon=True).start()

    def next(self) -> set[tuple[str, Key]]:
        """Take every change that is waiting, at least one; gives the word and the key of each that is there."""
        changed = self._take()
        while not self._changes.empty() or self._wanted - set(self.objects):
            changed |= self._take()
        return {(kind, key) for kind, key in changed if key in self.objects[kind]}

    def of(self, kind: str) -> list[Object]:
        """All objects of one collection."""
        return list(self.objects[kind].values())

    def _take(self) -> set[tuple[str, Key]]:
        kind, change, found = self._changes.get()
        if change == "SYNC":
            self.objects[kind] = {key_of(item): item for item in found["items"]}
            return {(kind, key) for key in self.objects[kind]}
        key = key_of(found)
        if change == "DELETED":
            self.objects[kind].pop(key, None)
        elif change in {"ADDED", "MODIFIED"}:
            self.objects[kind][key] = found
        return {(kind, key)}

    def _follow(self, api: Api, kind: str, path: str) -> None:
        while True:
            try:
                for change, found in api.watch(path):
                    self._changes.put((kind, change, found))
            except (Refused, OSError, http.client.HTTPException, ValueError) as failed:
                print(f"watch of {kind} ended: {failed}", flush=True)  # noqa: T201 - standard output is the log
            time.sleep(_AGAIN)


def key_of(found: Object) -> Key:
    """Namespace (empty for what has none) and name of an object."""
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
