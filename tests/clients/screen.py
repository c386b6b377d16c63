"""A virtual screen with a window manager, a mouse and a keyboard; called by the scenarios.

Xvfb carries it, openbox places windows, xdotool is the hand and ImageMagick's `import` the eye.
"""

import asyncio
from pathlib import Path

from tests.clients import pictures
from tests.clients.process import LabError, Program, output, until

DISPLAY = ":7"  # the socket folder is the lab's own, so any number is free
_LOOK = 0.4  # seconds between two looks
_KEY_GAP = 12  # ms between keys: xdotool's own default, both toolkits keep up with it


class Screen:
    """One X display of `width` x `height` pixels."""

    def __init__(self, programs: list[Program], width: int, height: int) -> None:
        self._programs = programs
        self.width, self.height = width, height

    @classmethod
    async def start(cls, root: Path, width: int = 1280, height: int = 900) -> "Screen":
        """Start the X server and its window manager."""
        server = await Program.start(
            *("Xvfb", DISPLAY, "-ac", "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-nolock"),
            log=root / "xvfb.log",
        )

        async def answers() -> bool:
            probe = await asyncio.create_subprocess_exec(
                *("xdotool", "getdisplaygeometry"),
                env=environ(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await probe.wait() == 0

        await until("the X server answers", answers, 10)
        manager = await Program.start("openbox", log=root / "openbox.log", environ=environ())
        return cls([manager, server], width, height)

    async def stop(self) -> None:
        """End the window manager, then the server."""
        for program in self._programs:
            await program.stop()

    async def grab(self) -> bytes:
        """The whole screen as a PNG."""
        return await output("import", "-window", "root", "png:-", environ=environ())

    async def settled(self, seconds: float = 30, quiet: float = 1.2) -> bytes:
        """The screen as a PNG, once it has not changed for `quiet` seconds (a blinking cursor is no change)."""
        clock = asyncio.get_running_loop().time
        last, since = await self.grab(), clock()

        async def still() -> bool:
            nonlocal last, since
            before, last = last, await self.grab()
            if not pictures.alike(before, last):
                since = clock()
            return clock() - since >= quiet

        await until("the screen stands still", still, seconds, step=_LOOK)
        return last

    async def reads(self, seconds: float = 30) -> list[str]:
        """Wait until at least one code can be read from the screen, and return them from top to bottom."""
        found: list[str] = []

        async def there() -> bool:
            found[:] = pictures.read_codes(await self.grab())
            return bool(found)

        await until("a code on the screen", there, seconds, step=_LOOK)
        return found

    async def hand(self, *action: str) -> str:
        """One xdotool action, for instance `"key", "Return"`."""
        return (await output("xdotool", *action, environ=environ())).decode().strip()

    async def click(self, window: str, x: int, y: int) -> None:
        """Click a point given from the window's upper left corner, and take the pointer away again."""
        await self.hand("mousemove", "--window", window, str(x), str(y), "click", "1")
        await self.park()

    async def press(self, window: str, *keys: str) -> None:
        """Give a window the focus and press keys there, one after the other."""
        await self.hand("windowactivate", "--sync", window, "key", *keys)

    async def park(self) -> None:
        """Put the pointer where it hovers over nothing."""
        await self.hand("mousemove", str(self.width), str(self.height))

    async def close(self, title: str) -> None:
        """Close the windows of this title with Escape, the newest first."""
        for window in reversed(await self.windows(title)):
            await self.press(window, "Escape")

    async def type(self, text: str, *, enter: bool = False) -> None:
        """Type into whatever has the focus."""
        await self.hand("type", "--delay", str(_KEY_GAP), text)
        if enter:
            await self.hand("key", "Return")

    async def windows(self, name: str) -> list[str]:
        """The ids of visible windows whose title matches `name` (a regular expression)."""
        try:
            found = await self.hand("search", "--onlyvisible", "--name", name)
        except LabError:  # xdotool exits 1 when there is none
            return []
        return found.split()

    async def window(self, name: str, seconds: float = 30) -> str:
        """Wait for a window and return its id."""

        async def there() -> bool:
            return bool(await self.windows(name))

        await until(f"a window called {name}", there, seconds)
        return (await self.windows(name))[0]

    async def place(self, window: str, x: int, y: int, width: int, height: int) -> None:
        """Put a window where the screenshots want it, and give it the focus."""
        await self.hand("windowsize", window, str(width), str(height))
        await self.hand("windowmove", window, str(x), str(y))
        await self.hand("windowactivate", window)


def environ() -> dict[str, str]:
    """The environment of a program that only needs the display."""
    return {"DISPLAY": DISPLAY, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
