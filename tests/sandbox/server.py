"""The sandbox as one object: starts and stops the servers, and writes the file that launchers read.

Tests, the demo and the control API make a `Sandbox` and reach everything else through it: `world`, `router`,
`faults`, `proxy`.
"""

import asyncio
import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.sandbox import noise, pairing, proto, tokens
from tests.sandbox.authority import Authority
from tests.sandbox.connection import Connection, Stage, Wire
from tests.sandbox.contract import PairingRefused
from tests.sandbox.faults import Faults
from tests.sandbox.image import PAPER, paper
from tests.sandbox.keys import KEY_SIZE, KeyPair
from tests.sandbox.launch import Config
from tests.sandbox.linking import Linking
from tests.sandbox.node import node
from tests.sandbox.online import login
from tests.sandbox.profiles import PICTURE_HOST
from tests.sandbox.proxy import Proxy
from tests.sandbox.queries import Queries
from tests.sandbox.router import Router
from tests.sandbox.world import Settings, World


class Sandbox:
    """WhatsApp in a box, on loopback unless told otherwise. Use as an async context manager, or `start` and `stop` it.

    `folder` receives the certificates and `sandbox.json` (a temporary folder without it); `control` is the URL
    of a control API, passed on to launchers.
    """

    def __init__(self, settings: Settings | None = None, folder: Path | None = None, control: str = "") -> None:
        self.world = World(settings or Settings())
        self.faults = Faults()
        self.router = Router(self.world, self.faults)
        self.queries = Queries(self.router)
        self.control = control
        self._temporary = None if folder else TemporaryDirectory(prefix="ponton-sandbox-")
        self.folder = folder or Path(self._temporary.name if self._temporary else ".")
        self._authority = Authority.make(self.folder, dt.datetime.now(dt.UTC))
        self.root = KeyPair.of(self.world.entropy(KEY_SIZE))
        self.proxy = Proxy(self._authority.context(), self._chat, self.faults.connect)
        self.proxy.handlers[PICTURE_HOST] = self.queries.profiles.serve_picture
        self._wire: Wire | None = None

    @property
    def config(self) -> Path:
        """The file that launchers read; there once the sandbox was started."""
        return self.folder / "sandbox.json"

    async def start(self, port: int = 0, identity: noise.Identity | None = None, host: str = "127.0.0.1") -> int:
        """Open the proxy port and write the launchers' file; returns the port.

        `identity` replaces the server's Noise identity (tests of what a client must refuse).
        """
        library = next(proto.library_folder().glob("neonize-linux*"))
        dictionaries = await asyncio.to_thread(tokens.load, library)
        made = identity or noise.Identity.make(self.root, self.world.now(), self.world.entropy)
        self._wire = Wire(self.world, made, dictionaries, self._begin)
        bound = await self.proxy.start(host, port)
        self.proxy.papers[PAPER] = paper(self._authority.ca.read_text(encoding="ascii"), self.root.public)
        self.write_config(f"http://127.0.0.1:{bound}")
        return bound

    def write_config(self, proxy: str) -> None:
        """Write the launchers' file for a proxy URL."""
        Config(proxy, str(self._authority.ca), self.root.public.hex(), self.control).write(self.config)

    async def stop(self) -> None:
        """End all connections and free the port."""
        await self.proxy.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def clear_faults(self) -> None:
        """Turn every fault knob back and let frozen sessions go on."""
        self.faults.clear()
        self.router.companions.thaw()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _chat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._wire is not None:
            await Connection(self._wire, reader, writer).run()

    def _begin(self, connection: Connection, done: noise.Finished) -> Stage | None:
        """Choose the stage of a connection whose handshake is done."""
        if not done.payload.HasField("devicePairingData"):
            return login(done.payload, done.client_static, connection, self.queries)
        try:
            registration = pairing.check_registration(done.payload.devicePairingData)
        except PairingRefused:
            connection.end(node("failure", reason=400))
            return None
        stage = Linking(self.router.lobby, connection, done.client_static, registration)
        stage.begin()
        return stage
