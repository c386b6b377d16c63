"""The parent's side of `probe`: a real client in a child process, awaited like anything else.

Used by the integration tests.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.sandbox.launch import sandboxed

ROOT = Path(__file__).parent.parent.parent  # of the repository, from where `tests` is importable
LINE_LIMIT = 1 << 24  # bytes of one JSON line; a history chunk is one event
PATIENCE = 20  # seconds until something expected counts as missing; 75 s is what the client waits for answers


class Event(NamedTuple):
    """What a client raised: its name in the child, neonize's event name, the event as plain data."""

    client: str
    name: str
    data: Any


class ProbeError(Exception):
    """A call of the real client failed, with its own words."""


class Probe:
    """One child process with any number of clients; use as an async context manager."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config, self.folder = config, folder
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Condition()
        self.events: list[Event] = []
        self.log = folder / "probe.log"

    async def __aenter__(self) -> Self:
        argv, env = sandboxed([sys.executable, "-m", "tests.sandbox.probe", str(self.folder)], os.environ, self._config)
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *argv,
                env=env | {"NEONIZE_BOT_TAG": "off"},
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_LIMIT,
            )
        self._reading = asyncio.create_task(self._read())
        await self.event("", "Ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def kill(self) -> None:
        """End the child as a crash would, and wait until it is gone."""
        if self._child.returncode is None:
            self._child.send_signal(signal.SIGKILL)
        await self._child.wait()
        await self._reading

    async def call(self, client: str, method: str, *args: object, patience: float = PATIENCE, **kwargs: object) -> Any:  # noqa: ANN401
        """Call a method of a client in the child; raises `ProbeError` with the client's words if it fails."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = {"id": number, "client": client, "call": method, "args": args, "kwargs": kwargs}
        if self._child.stdin is None:
            raise RuntimeError("the child has no standard input")
        self._child.stdin.write(json.dumps(line).encode() + b"\n")
        async with asyncio.timeout(patience):
            return await answer

    async def start(self, client: str, **kwargs: object) -> None:
        """Make and connect a client, by default on a store of its own; options as `probe.Probe.start` has them."""
        await self.call(client, "start", patience=PATIENCE, **kwargs)

    async def event(
        self,
        client: str,
        name: str,
        accept: Callable[[Any], object] = lambda _data: True,
        since: int = 0,
        patience: float = PATIENCE,
    ) -> Any:  # noqa: ANN401
        """The data of the first event of this name (after number `since`) that is accepted, as soon as it is there."""

        def found() -> Event | None:
            wanted = (e for e in self.events[since:] if (e.client, e.name) == (client, name) and accept(e.data))
            return next(wanted, None)

        try:
            async with asyncio.timeout(patience), self._news:
                await self._news.wait_for(lambda: found() is not None or self._reading.done())
        except TimeoutError:
            pass
        event = found()
        if event is None:
            seen = [event.name for event in self.events if event.client == client]
            raise AssertionError(f"no event {name} of {client!r}; seen: {seen}\n{self._tail()}")
        return event.data

    def _tail(self) -> str:
        """The end of the child's log, for a failed test."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    async def _read(self) -> None:
        try:
            await self._read_lines()
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ProbeError(f"the child has ended\n{self._tail()}"))
            async with self._news:
                self._news.notify_all()

    async def _read_lines(self) -> None:
        if self._child.stdout is None:
            return
        while line := await self._child.stdout.readline():
            said = json.loads(line)
            if "id" not in said:
                async with self._news:
                    self.events.append(Event(said["client"], said["event"], said["data"]))
                    self._news.notify_all()
                continue
            answer = self._answers.pop(said["id"])
            if answer.cancelled():
                continue
            if "error" in said:
                answer.set_exception(ProbeError(said["error"]))
            else:
                answer.set_result(said["result"])


def jid(text: str) -> dict[str, str]:
    """An address as an argument of `Probe.call`."""
    return {"jid": text}


def member(name: str) -> dict[str, str]:
    """A member of one of neonize's enumerations (`Presence.AVAILABLE`) as an argument of `Probe.call`."""
    return {"enum": name}
