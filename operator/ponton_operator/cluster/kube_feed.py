"""All objects of one kind in a namespace as they are now, and each change of them: a list, then a watch, for ever.

The API is read by a thread of its own, which waits until the event loop has taken in what came, so that nothing piles
up. Objects are kept as compact JSON text: 10,000 accounts cost some 20 MiB. Called by `kube_accounts`.
"""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import urllib3

from ponton_bridge.core.backoff import delay
from ponton_operator.cluster.kube_api import PAGE, Client
from ponton_operator.cluster.kube_errors import KubeError, Unavailable
from ponton_operator.cluster.kube_kinds import Kind, Obj

SPELL: Final = 240  # seconds of one watch; the server closes it then and we go on from where we were
SILENT: Final = 140.0  # seconds without a byte; bookmarks come every 60
FIRST_WAIT: Final = 0.5  # seconds before the next try after an error
LONGEST_WAIT: Final = 30.0
END: Final = 2.0  # seconds for the thread to end
TAKE: Final = 60.0  # seconds that the loop may need to take something in
_LINE: Final = 4 * 1024 * 1024  # bytes of one event; etcd keeps no object of more than 1.5 MiB
_CHUNK: Final = 65_536


class Relist(Exception):
    """The server has forgotten where we were: everything has to be listed again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it was seen last; `gone`: it was the last of it."""

    text: str
    gone: bool = False


@dataclass(slots=True)
class Feed:
    """One kind in one namespace; `wanted(object)` says which count. `start` it on a running loop."""

    client: Client
    kind: Kind
    namespace: str
    wanted: Callable[[Obj], bool]
    synced: bool = False  # whether `held` has all there is
    held: dict[str, str] = field(default_factory=dict)
    _listeners: list["Listener"] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _answer: urllib3.BaseHTTPResponse | None = None
    _thread: threading.Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, if it has not begun."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name=f"feed {self.kind.plural}", daemon=True)
            self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether the thread has ended although nobody told it to: a fault of ours."""
        return self._thread is not None and not self._thread.is_alive() and not self._stop.is_set()

    async def close(self) -> None:
        """End; a thread that waits for a server which does not answer is left to its deadline, it holds up nobody."""
        self._stop.set()
        if (answer := self._answer) is not None:
            with suppress(Exception):  # it may be ending at this moment
                answer.shutdown()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, END)

    def listen(self, name: str = "") -> "Listener":
        """Give a listener that hears of all that is, then of each change; with a name of that one only."""
        listener = Listener(self, name)
        for key, text in self.held.items():
            listener.tell(key, Seen(text))
        self._listeners.append(listener)
        return listener

    def leave(self, listener: "Listener") -> None:
        """Tell a listener no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    # ---- in the loop -------------------------------------------------------------------------------------------

    async def _take(self, items: list[Obj]) -> None:
        for item in items:
            self._put(item, gone=False)

    async def _drop(self, item: Obj) -> None:
        self._put(item, gone=True)

    async def _complete(self, names: set[str]) -> None:
        """A list is over: what it did not hold is gone."""
        for name in [name for name in self.held if name not in names]:
            self._tell(name, Seen(self.held.pop(name), gone=True))
        self.synced = True

    def _put(self, item: Obj, *, gone: bool) -> None:
        name = item["metadata"]["name"]
        if not self.wanted(item):
            gone = True  # it may have been ours before
            if name not in self.held:
                return
        item["metadata"].pop("managedFields", None)
        text = json.dumps(item, separators=(",", ":"))
        if gone:
            self.held.pop(name, None)
        elif self.held.get(name) == text:
            return
        else:
            self.held[name] = text
        self._tell(name, Seen(text, gone))

    def _tell(self, name: str, seen: Seen) -> None:
        for listener in self._listeners:
            listener.tell(name, seen)

    # ---- in the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures, version = 0, ""
        while not self._stop.is_set():
            try:
                version = version or self._list()
                version = self._watch(version)
                failures = 0
            except Relist:
                version = ""
            except (KubeError, TimeoutError):
                failures += 1
                self._stop.wait(delay(failures, random.random, FIRST_WAIT, LONGEST_WAIT))
            except RuntimeError:  # the loop has ended
                return

    def _list(self) -> str:
        """Take in everything that is; gives the version to watch from."""
        names: set[str] = set()
        query = {"limit": str(PAGE)}
        while True:
            answer = self.client.call("list", self.kind, self.kind.path(self.namespace), query=query)
            items = answer.get("items") or []
            names |= {item["metadata"]["name"] for item in items if self.wanted(item)}
            self._in_loop(self._take(items))
            metadata = answer.get("metadata") or {}
            query["continue"] = metadata.get("continue") or ""
            if not query["continue"]:
                self._in_loop(self._complete(names))
                return str(metadata.get("resourceVersion") or "")

    def _watch(self, version: str) -> str:
        """Take in changes until the server ends the watch; gives the version to go on from."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(SPELL),
        }
        self._answer = self.client.stream(self.kind, self.kind.path(self.namespace), query, SILENT)
        try:
            if self._stop.is_set():  # nobody could break off what had not begun
                return version
            for event in _lines(self._answer):
                if self._stop.is_set():
                    break
                item = event.get("object") or {}
                match event.get("type"):
                    case "ADDED" | "MODIFIED":
                        self._in_loop(self._take([item]))
                    case "DELETED":
                        self._in_loop(self._drop(item))
                    case "ERROR":
                        raise Relist
                    case _:
                        pass  # a bookmark
                version = str((item.get("metadata") or {}).get("resourceVersion") or version)
        finally:
            self._answer.close()
            self._answer = None
        return version

    def _in_loop(self, work: Any) -> None:  # noqa: ANN401  # a coroutine
        """Wait until the loop has done it. Raises RuntimeError when the loop has ended, TimeoutError."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise RuntimeError("no loop")
        asyncio.run_coroutine_threadsafe(work, self._loop).result(TAKE)


class Listener:
    """What one who listens has not heard of yet: the newest of each object only, so that a slow one costs no memory."""

    def __init__(self, feed: Feed, name: str = "") -> None:
        self._feed = feed
        self._name = name
        self._waiting: dict[str, Seen] = {}
        self._known: set[str] = set()
        self._news = asyncio.Event()

    def tell(self, name: str, seen: Seen) -> None:
        """Note a change."""
        if self._name in {"", name}:
            self._waiting[name] = seen
            self._news.set()

    async def next(self) -> Seen:
        """Wait for the next change; of what was never told, its end is none."""
        while True:
            while self._waiting:
                name = next(iter(self._waiting))
                seen = self._waiting.pop(name)
                if not seen.gone:
                    self._known.add(name)
                    return seen
                if name in self._known:
                    self._known.discard(name)
                    return seen
            self._news.clear()
            await self._news.wait()

    def close(self) -> None:
        """Listen no more."""
        self._feed.leave(self)


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[Obj]:
    """Read the events of a watch, one a line. Raises Unavailable when it breaks off."""
    rest = b""
    try:
        while chunk := answer.read1(_CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE:
                raise Unavailable("LineTooLong")
            for line in whole:
                if line:
                    yield json.loads(line)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise Unavailable from error
