"""One lab: namespace furnished, Prosody up, a screen, and a way to look at it. Called by scenarios.

async with Lab.open(users) as lab:
    gateway = await lab.stand_in()
    gajim = await lab.desktop(Gajim, alice)
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.clients import layout, namespace
from tests.clients.process import LabError, until
from tests.clients.product import Product
from tests.clients.programs import AnyDesktop, Desktop
from tests.clients.screen import Screen
from tests.clients.stand_in import StandIn
from tests.harness.prosody import Prosody
from tests.harness.prosody_config import Options


class Lab:
    """What is running; made by `open`."""

    def __init__(self, root: Path, prosody: Prosody) -> None:
        self.root = root
        self.prosody = prosody
        self._stack = contextlib.AsyncExitStack()
        self._screen: Screen | None = None
        self._clients: list[Desktop] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, users: Mapping[layout.User, dict[str, str]]) -> AsyncIterator["Lab"]:
        """Furnish the namespace and start Prosody with `users` and what is in their rosters."""
        namespace.furnish(namespace.ROOT)
        prosody = _prosody(namespace.ROOT / "prosody", users)
        namespace.trust(prosody.ca_file)
        await prosody.start()
        lab = cls(namespace.ROOT, prosody)
        try:
            yield lab
        except LabError:
            await lab.leave_evidence()
            raise
        finally:
            await lab.clear()
            await lab._stack.aclose()
            await prosody.stop()

    async def stand_in(self) -> StandIn:
        """Connect the gateway that only looks like one."""
        gateway = StandIn(self.prosody.secrets.gateway, self.prosody.ca_file)
        gateway.connect()
        await asyncio.wait_for(gateway.ready.wait(), 10)
        return gateway

    async def product(self) -> Product:
        """Start Ponton on this machine, and the sandbox behind it."""
        return await self._stack.enter_async_context(Product.open(self.root, self.prosody))

    async def desktop(self, kind: type[AnyDesktop], user: layout.User, size: tuple[int, int]) -> AnyDesktop:
        """Start a graphical client alone on a screen of `size`."""
        await self.clear()
        self._screen = await Screen.start(self.root, *size)
        client = kind(self.root, user, self._screen)
        self._clients.append(client)
        await client.start()
        return client

    async def signed_in(self, user: layout.User, seconds: float = 30) -> None:
        """Wait until the server has let `user` in."""

        async def authenticated() -> bool:
            return f"Authenticated as {user.jid}" in self.prosody.log_text()

        await until(f"{user.name} is signed in", authenticated, seconds)

    async def leave_evidence(self) -> None:
        """Keep the last screen and all logs where the namespace does not take them along."""
        folder = Path(tempfile.mkdtemp(prefix="clients-lab-"))
        if self._screen is not None:
            (folder / "screen.png").write_bytes(await self._screen.grab())
        for log in (*self.root.glob("*.log"), self.prosody.layout.log):
            shutil.copy(log, folder)
        print(f"the last screen and the logs are in {folder}", file=sys.stderr)  # noqa: T201

    async def clear(self) -> None:
        """End the graphical client and its screen."""
        while self._clients:
            await self._clients.pop().stop()
        if self._screen is not None:
            await self._screen.stop()
            self._screen = None


def _prosody(root: Path, users: Mapping[layout.User, dict[str, str]]) -> Prosody:
    """The tests' Prosody on the lab's ports, not started yet."""
    options = Options(component={"component_shards_gateway_privileges": True})
    server = Prosody(root, domain=layout.HOST, component=layout.GATEWAY, upload=layout.UPLOAD, options=options)
    server.ports = layout.PORTS
    server.write_config()
    for user, contacts in users.items():
        server.add_user(user.name, user.password)
        if contacts:
            path = layout.roster_path(server.layout.data, user)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(layout.roster_file(contacts))
    return server
