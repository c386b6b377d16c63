"""One client object of the Go library: a fresh name, a thread that lives in Go, and calls that cannot crash it.

Made by the driver, one after another and never two at once. Contained here: `run` blocks for as long as the client
lives and in some cases for ever (its thread is a daemon); calls for a client that Go does not know may end the
process; Go's maps of clients have no lock, so a client is not stopped while a call is just entering.
"""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from ponton_bridge.whatsapp.port import NotConnected

from .native import Callbacks, Library

T = TypeVar("T")

DRAINED: Final = 0.2  # seconds without an event after which a disconnected client has told all that it held
DRAIN: Final = 3.0  # seconds at most for that
ENTERING: Final = 0.05  # seconds; a call has long found its client in Go's map by then (a map look-up)


class Listener(Protocol):
    """Who wants to know; called on threads of Go and of the session."""

    def code(self, session: "Session", text: str) -> None:
        """A QR code is to be shown."""

    def status(self, session: "Session", how: str) -> None:
        """Linking by QR has ended."""

    def event(self, session: "Session", number: int, data: bytes) -> None:
        """Something happened."""

    def ended(self, session: "Session", problem: str) -> None:
        """The library does not deliver events any more; `problem` is '' after `stop`."""


class Session:
    """A client from `start` to `stop`; of no use afterwards. `opened` counts those of this process."""

    opened = 0

    def __init__(self, library: Library, database: str, subscribed: bytes, props: bytes, listener: Listener) -> None:
        self._library, self._listener = library, listener
        self._database, self._subscribed, self._props = database, subscribed, props
        # COMPAT: a name of its own for each, since a collected client stops whoever has its name (neonize trap 2).
        self.client = uuid.uuid4().hex.encode()
        self._known = False  # Go has the client in its map
        self._stopped = False
        self._entered = 0.0
        self._heard = 0.0  # when the last event came
        self._gate = threading.Lock()

    def start(self) -> None:
        """Begin to connect, on a thread of its own."""
        Session.opened += 1
        threading.Thread(target=self._run, name="whatsapp", daemon=True).start()

    def _run(self) -> None:
        callbacks = Callbacks(self._code, self._status, self._event)
        problem = self._library.run(self._database, self.client, self._subscribed, self._props, callbacks)
        self._listener.ended(self, "" if self._stopped else problem or "ended without a reason")

    # The first sign of life: from now on Go knows the client.

    def _code(self, text: str) -> None:
        self._known = True
        if not self._stopped:
            self._listener.code(self, text)

    def _status(self, how: str) -> None:
        self._known = True
        if not self._stopped:
            self._listener.status(self, how)

    def _event(self, number: int, data: bytes) -> None:
        self._known = True
        if not self._stopped:
            self._listener.event(self, number, data)
        self._heard = time.monotonic()

    def call(self, work: Callable[[Library, bytes], T]) -> T:
        """Do something with the client, for as long as it takes; NotConnected when Go does not know it."""
        with self._gate:
            self._check()
            self._entered = time.monotonic()
        return work(self._library, self.client)

    def look(self, work: Callable[[Library, bytes], T]) -> T:
        """Ask the client's own store: quick, and never while it is being stopped (Go would end the process)."""
        with self._gate:
            self._check()
            return work(self._library, self.client)

    def _check(self) -> None:
        if self._stopped or not self._known:
            raise NotConnected("There is no connection to WhatsApp at the moment.")

    def drain(self) -> None:
        """Disconnect, and wait until all is told that was acknowledged to WhatsApp; blocks, DRAIN seconds at most."""
        with self._gate:
            if self._stopped or not self._known:
                return
            self._library.disconnect(self.client)
        begun = self._heard = time.monotonic()
        while (now := time.monotonic()) - self._heard < DRAINED and now - begun < DRAIN:
            time.sleep(DRAINED / 4)

    def stop(self) -> None:
        """Disconnect; blocks for a moment. May be called more than once, from any thread."""
        with self._gate:
            if self._stopped:
                return
            self._stopped = True
            time.sleep(max(0.0, min(ENTERING, self._entered + ENTERING - time.monotonic())))
            self._library.stop(self.client)
