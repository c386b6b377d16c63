"""A real redis-server in a folder of its own; used by integration tests, the demo and the chaos runs.

Needs nothing of pytest. Everything goes through one configuration file, so that no password is ever seen on a
command line. By default nothing is kept on disk: a restart is then a Redis that has lost everything.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

START = 10.0  # seconds to wait for "ready"; a start takes 0.1 s, a busy machine is slower
STOP = 5.0  # seconds between SIGTERM and SIGKILL
ATTEMPTS = 5  # ports to try: between asking for a free one and using it another process may take it
HOST = "127.0.0.1"


class RedisFailed(Exception):
    """The server did not start; the text ends with what it wrote."""


def free_port() -> int:
    """Ask the system for a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One server; the port stays the same over restarts, `options` are lines of its configuration."""

    def __init__(self, folder: Path, options: dict[str, str]) -> None:
        self.folder = folder
        self.options = options
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients find it, as the default user (with the password of option `requirepass`, if set)."""
        password = self.options.get("requirepass", "")
        user = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{user}{HOST}:{self.port}/0"

    def url_for(self, user: str, password: str) -> str:
        """Where clients find it as another user."""
        return f"redis://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}:{self.port}/0"

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        path = self.folder / "redis.log"
        return path.read_text() if path.exists() else ""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it answers; raises RedisFailed. On the first start the port is found."""
        if self.pid:
            return
        for _ in range(1 if self.port else ATTEMPTS):
            port = self.port or free_port()
            if await self._try(port):
                self.port = port
                return
        raise RedisFailed(self.log[-2000:])

    async def _try(self, port: int) -> bool:
        lines = {"bind": HOST, "port": str(port), "dir": str(self.folder), "save": '""', "protected-mode": "no"}
        lines |= {"logfile": str(self.folder / "redis.log")} | self.options
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name.replace('_', '-')} {value}\n" for name, value in lines.items()))
        self._process = await asyncio.create_subprocess_exec(
            "redis-server", str(path), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START):
                while self._process.returncode is None:
                    if await self._answers(port):
                        return True
                    await asyncio.sleep(0.01)
        await self.kill()
        return False

    async def _answers(self, port: int) -> bool:
        """Tell whether the server there is ours (a stranger has another process id) and has loaded its data."""
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        try:
            password = self.options.get("requirepass", "")
            if password:
                writer.write(f"*2\r\n$4\r\nAUTH\r\n${len(password.encode())}\r\n{password}\r\n".encode())
            writer.write(b"INFO server\r\nPING\r\nQUIT\r\n")
            answer = await reader.read()
            return f"process_id:{self.pid}\r\n".encode() in answer and b"+PONG\r\n" in answer
        except OSError:
            return False
        finally:
            writer.close()

    def _signal(self, number: signal.Signals) -> None:
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and nobody has told us yet
                os.kill(pid, number)

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it at once (kill -9) and reap it."""
        self._signal(signal.SIGKILL)
        if self._process:
            await self._process.wait()

    async def stop(self) -> None:
        """End it in peace, frozen or not; it is killed when that takes too long."""
        self._signal(signal.SIGTERM)
        self.resume()
        if self._process:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP)
        await self.kill()

    async def restart(self) -> None:
        """Stop and start on the same port; what is not kept on disk is lost."""
        await self.stop()
        await self.start()


@contextlib.asynccontextmanager
async def running_redis(folder: Path, **options: str) -> AsyncIterator[RedisServer]:
    """Run a server in `folder` (made if missing) until the block ends.

    Options are Redis's own with `_` for `-`: `appendonly="yes", appendfsync="always"` keeps the data over restarts,
    `requirepass`, `maxclients`, `maxmemory`, `aclfile` … work as they are.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    server = RedisServer(folder, options)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
