"""The clients, each as user nobody with a home of its own: Gajim, Dino, profanity. Called by `lab`.

Both graphical clients listen on the session bus, so a chat or a dialog is opened by the action behind the
menu entry, not by hunting pixels; the mouse is left for what only a mouse can do.
"""

import json
import shutil
from pathlib import Path
from typing import TypeVar

from tests.clients import profiles
from tests.clients.layout import User
from tests.clients.process import Program, output, until
from tests.clients.screen import DISPLAY, Screen
from tests.clients.terminal import AS_NOBODY, Terminal


def home(root: Path, name: str) -> Path:
    """A fresh home folder that nobody may write."""
    folder = root / "homes" / name
    for path in (folder, *(folder / part for part in ("config", "data", "cache", "run"))):
        path.mkdir(parents=True)
        shutil.chown(path, "nobody", "nogroup")
        path.chmod(0o700)
    return folder


class Desktop:
    """A graphical client with the session bus that it talks to."""

    name = ""
    title = ""  # of its main window, a regular expression
    frame = 26  # pixels that the window manager draws above and below its window
    pane = 0  # where the conversation begins in the filled window, in pixels from the left

    def __init__(self, root: Path, user: User, screen: Screen) -> None:
        self.user = user
        self.screen = screen
        self._root = root
        self._folder = home(root, f"{self.name}-{user.name}")
        self._environ = profiles.environ(self._folder, DISPLAY)
        self._programs: list[Program] = []

    async def start(self) -> None:
        """Start it, signed in; returns when its window is there."""
        address = self._environ["DBUS_SESSION_BUS_ADDRESS"]
        line = ("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}")
        await self._run("bus", *line)
        socket = self._folder / "run" / "bus"

        async def bus() -> bool:
            return socket.exists()

        await until("the session bus listens", bus, 10)
        await self._open()
        await self.screen.window(self.title)

    async def stop(self) -> None:
        """End the client, then its bus."""
        while self._programs:
            await self._programs.pop().stop()

    async def _open(self) -> None:
        raise NotImplementedError

    async def _run(self, name: str, *line: str) -> Program:
        log = self._root / f"{self.name}-{name}.log"
        program = await Program.start(*AS_NOBODY, *line, log=log, environ=self._environ)
        self._programs.append(program)
        return program

    async def _once(self, *line: str, data: bytes = b"") -> str:
        return (await output(*AS_NOBODY, *line, environ=self._environ, data=data)).decode()

    async def open_chat(self, jid: str) -> None:
        """Open the conversation with `jid`, as a click on an xmpp: link does."""
        raise NotImplementedError

    async def fill(self) -> None:
        """Give the main window the whole screen."""
        await self.screen.park()
        window = await self.screen.window(self.title)
        await self.screen.place(window, 0, 0, self.screen.width - 2, self.screen.height - self.frame)


AnyDesktop = TypeVar("AnyDesktop", bound=Desktop)


class Gajim(Desktop):
    """Gajim 1.7."""

    name = "gajim"
    title = "^Gajim$"
    pane = 422

    async def _open(self) -> None:
        profile = self._folder / "profile"
        wanted = json.dumps(profiles.gajim_seed(profile, self.user)).encode()
        await self._once("/usr/bin/python3", "-c", profiles.GAJIM_SEED, data=wanted)
        await self._run("client", "gajim", "-c", str(profile))

    async def open_chat(self, jid: str) -> None:
        """Open the conversation with `jid`, as a click on an xmpp: link does; a new one is asked about first."""
        await self._once("gajim", "-c", str(self._folder / "profile"), f"xmpp:{jid}?message")
        await self.screen.settled()
        if dialogs := await self.screen.windows("^Start / Join Chat$"):
            await self.screen.press(dialogs[0], "Return")

    async def discover(self) -> str:
        """Accounts > Discover Services; returns the window."""
        await self._once(
            *("gdbus", "call", "--session", "--dest", "org.gajim.Gajim"),
            *("--object-path", "/org/gajim/Gajim", "--method", "org.gtk.Actions.Activate"),
            *(f"{profiles.GAJIM_ACCOUNT}-services", f"[<'{profiles.GAJIM_ACCOUNT}'>]", "{}"),
        )
        return await self.screen.window("^Browsing ")


class Dino(Desktop):
    """Dino 0.4."""

    name = "dino"
    title = "^Dino$"
    frame = 0  # Dino draws its own
    pane = 307

    async def _open(self) -> None:
        database = self._folder / "data" / "dino" / "dino.db"
        first = await self._run("first", "dino-im")

        async def made() -> bool:
            return profiles.dino_ready(database)

        await until("Dino has made its database", made, 30)
        self._programs.remove(first)
        await first.stop()
        profiles.seed_dino(database, self.user)
        await self._run("client", "dino-im")

    async def open_chat(self, jid: str) -> None:
        """Open the conversation with `jid`, as a click on an xmpp: link does."""
        await self._once("dino-im", f"xmpp:{jid}?message")


async def profanity(root: Path, user: User, columns: int = 100, rows: int = 40) -> Terminal:
    """Run profanity in a terminal, signed in as `user`."""
    folder = home(root, f"profanity-{user.name}")
    environ = profiles.environ(folder, DISPLAY)
    terminal = await Terminal.start(folder / "run", environ, "profanity", columns=columns, rows=rows)
    await terminal.wait_for("Profanity")
    await terminal.enter(f"/connect {user.jid} server 127.0.0.1 port 5222")
    await terminal.wait_for("(?i)password")
    await terminal.enter(user.password)
    await terminal.wait_for("logged in successfully")
    return terminal
