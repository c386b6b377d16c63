"""The QR codes of one attempt to link: shown one after the other, each as long as WhatsApp takes it.

Part of the core driver; neonize has such timers itself.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ponton_bridge.whatsapp import port

FIRST, NEXT = 60.0, 20.0  # seconds a code lives; as WhatsApp's own web page shows them
WHOLE: Final = 6  # codes of a first set, whose first lives longer


class Codes:
    """`show` gets each code, `over` is called when the last has run out. All on the loop."""

    def __init__(self, show: Callable[[port.Code], None], over: Callable[[], None]) -> None:
        self._show, self._over = show, over
        self._left: list[str] = []
        self._number = 0
        self._current = ""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Tell whether a code is shown."""
        return self._timer is not None

    def hear(self, kind: str, fields: Mapping[str, Any]) -> bool:
        """Take an event of the core if it is about codes; tells whether it was."""
        match kind:
            case "QR":
                self.begin(fields.get("Codes", ()))
            case "RotateADVSecret":
                self.rotate(str(fields.get("OldSecret", "")), str(fields.get("NewSecret", "")))
            case _:
                return False
        return True

    def begin(self, codes: Sequence[str]) -> None:
        """Show a new set."""
        self.stop()
        self._left, self._number = list(codes), 0
        self._next(FIRST if len(codes) >= WHOLE or len(codes) == 1 else NEXT)

    def rotate(self, old: str, new: str) -> None:
        """Take a new secret, which every code holds; the one that is shown is shown anew."""
        if self.running and old:
            self._left = [code.replace(old, new) for code in [self._current, *self._left]]
            self._number -= 1
            self._next(NEXT)

    def stop(self) -> None:
        """Show no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self, lives: float = NEXT) -> None:
        self.stop()
        if not self._left:
            self._over()
            return
        self._current = self._left.pop(0)
        self._number += 1
        self._show(port.Code(port.CodeKind.QR, self._current, lives, self._number))
        self._timer = asyncio.get_running_loop().call_later(lives, self._next)
