"""One core process: started on a socket pair, spoken to in frames, watched, ended. Used by `keeper`.

A frame is a length (4 bytes, big-endian) and one JSON object. Nothing here knows what an event or a call means.
"""

import asyncio
import contextlib
import itertools
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ponton_bridge.model.reads import modest

MAX_FRAME: Final = 32 << 20  # bytes; the core's own bound
HEAD: Final = 4  # bytes
PING_EVERY: Final = 2.5  # seconds
PING_PATIENCE: Final = 4.0  # seconds; a stopped or hanging core is ended within the sum of both
END_SECONDS: Final = 2.0  # from the end of the socket to that of the process
# 2 MiB less, no slower; 16 MiB are twice what is in use while many large messages go out, and little stays behind them;
# one thread at a time saves a tenth to a quarter of the CPU, with nobody slower (all measured).
ENVIRONMENT: Final = {"GOGC": "50", "GOMEMLIMIT": "16MiB", "GOMAXPROCS": "1"}
OURS: Final = "PONTON_"  # variables of the shard, which are nothing to the core

Frame = dict[str, Any]


class CallFailed(Exception):
    """The core's answer was an error; `text` is the library's own and is never shown."""

    def __init__(self, text: str) -> None:
        super().__init__("a call of the core failed")
        self.text = text


class Gone(Exception):
    """The core has ended without an answer."""


class Unasked(Gone):
    """There was no core to ask: nothing has reached it."""


class Child:
    """One process. `heard` gets every event frame, in order, on the loop."""

    def __init__(self, command: list[str], heard: Callable[["Child", Frame], None]) -> None:
        self._command = command
        self._heard = heard
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._alive_at = 0.0

    async def run(self) -> int:
        """Start it and pass on what it says until it ends; gives its exit code. Raises OSError when it cannot start."""
        ours, theirs = socket.socketpair()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        modest(self._writer.transport)
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                *("-fd", str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith(OURS)} | ENVIRONMENT,
            )
        except BaseException:
            self._writer.close()
            raise
        finally:
            theirs.close()
        watch = asyncio.create_task(self._watch())
        try:
            await self._read(reader)
        finally:
            watch.cancel()
            self._gone()
            self._writer.close()
            code = await self._end(process)
        return code

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process else 0

    async def call(self, name: str, *, seconds: float, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Ask for something; raises CallFailed, Gone (Unasked), or TimeoutError after `seconds`."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._say({"c": name, "i": number, **arguments})
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            self._answers.pop(number, None)

    def acknowledge(self, number: int, *, safe: bool) -> None:
        """Answer a held event; nothing happens when the core is gone, which has kept it at WhatsApp."""
        with contextlib.suppress(Gone):
            self._say({"a": number} if safe else {"a": number, "ok": False})

    def close(self) -> None:
        """Hang up: the core ends by itself."""
        if self._writer is not None:
            self._writer.close()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _say(self, frame: Frame) -> None:
        if self._writer is None or self._writer.is_closing():
            raise Unasked
        data = json.dumps(frame, separators=(",", ":")).encode()
        self._writer.write(len(data).to_bytes(HEAD, "big") + data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):  # ends, or says nonsense
            while True:
                size = int.from_bytes(await reader.readexactly(HEAD), "big")
                if not 0 < size <= MAX_FRAME:
                    return
                frame = json.loads(await reader.readexactly(size))
                self._alive_at = asyncio.get_running_loop().time()
                if "e" in frame:
                    self._heard(self, frame)
                elif (answer := self._answers.get(frame.get("r", 0))) is not None and not answer.done():
                    if frame.get("ok"):
                        answer.set_result(frame.get("v"))
                    else:
                        answer.set_exception(CallFailed(str(frame.get("err", ""))))

    async def _watch(self) -> None:
        """Ask for a sign of life now and then; without one the process is killed.

        A shard that slept itself finds the sign in its socket: it is read before the patience is judged again.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_EVERY)
            asked = loop.time()
            for _ in range(2):
                with contextlib.suppress(TimeoutError, CallFailed, Gone):
                    await self.call("stats", seconds=PING_PATIENCE / 2)
                if self._alive_at >= asked:
                    break
            else:
                self.kill()
                return

    def _gone(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Gone())

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        # COMPAT: before Python 3.11.3 `asyncio.timeout` raises CancelledError in a cancelled task, and a stopped
        # core would stay. Debian 12 has 3.11.2; may go with it.
        ending = asyncio.ensure_future(process.wait())
        await asyncio.wait([ending], timeout=END_SECONDS)
        if not ending.done():
            self.kill()
        return await ending


def command(program: Path, database: Path, device_name: str) -> list[str]:
    """Give the command line; the store and a name, nothing secret."""
    return [str(program), "-store", str(database), "-name", device_name]
