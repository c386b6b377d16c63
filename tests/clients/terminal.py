"""A terminal that nobody looks at: tmux on a socket of its own; called by `programs` and the scenarios."""

import re
from pathlib import Path

from tests.clients.process import LabError, output, until

AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


class Terminal:
    """One tmux server with one window of `columns` x `rows`, in which a program runs as nobody."""

    def __init__(self, socket: Path, environ: dict[str, str]) -> None:
        self._line = (*AS_NOBODY, "tmux", "-S", str(socket), "-f", "/dev/null")
        self._environ = environ

    @classmethod
    async def start(cls, folder: Path, environ: dict[str, str], *line: str, columns: int, rows: int) -> "Terminal":
        """Run `line` in a new terminal whose socket lives in `folder`."""
        self = cls(folder / "tmux", {**environ, "TERM": "xterm-256color", "SHELL": "/bin/sh"})
        await self._tmux("new-session", "-d", "-s", "lab", "-x", str(columns), "-y", str(rows), *line)
        return self

    async def _tmux(self, *arguments: str) -> str:
        return (await output(*self._line, *arguments, environ=self._environ)).decode()

    async def enter(self, text: str) -> None:
        """Type a line and press Return."""
        await self._tmux("send-keys", "-t", "lab", "-l", text)
        await self._tmux("send-keys", "-t", "lab", "Enter")

    async def screen(self, *, colours: bool = False) -> str:
        """What is on the screen now, with escape sequences when `colours`."""
        return await self._tmux("capture-pane", "-t", "lab", "-p", *(["-e"] if colours else []))

    async def wait_for(self, pattern: str, seconds: float = 20) -> str:
        """Wait until the screen matches a regular expression, and return the screen."""
        seen = ""

        async def there() -> bool:
            nonlocal seen
            seen = await self.screen()
            return re.search(pattern, seen) is not None

        try:
            await until(f"{pattern!r} in the terminal", there, seconds)
        except LabError as error:
            raise LabError(f"{error}; there was:\n{seen.strip()}") from None
        return seen

    async def stop(self) -> None:
        """End the terminal and what runs in it."""
        await self._tmux("kill-server")
