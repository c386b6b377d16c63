"""A WhatsApp driver against the sandbox: a child process per driver, Alice's account for it, Bob to talk to.

A module shares one sandbox process; each test has people and a driver of its own. KINDS are the drivers that must keep
the port's contract; what one of them declares not to do is asked for by `needs`.
"""

import asyncio
import base64
import itertools
import os
import pickle
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import PontonError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import place
from ponton_bridge.whatsapp.core_driver.driver import CAPABILITIES as CORE
from ponton_bridge.whatsapp.neonize_driver.driver import CAPABILITIES as NEONIZE
from ponton_bridge.whatsapp.neonize_driver.environment import WANTED
from tests.sandbox.client import AccountHandle, SandboxClient
from tests.sandbox.launch import CORE_FOLDER, sandboxed

E = TypeVar("E", bound=port.Event)

ROOT = Path(__file__).parent.parent.parent
CHILD = Path(__file__).with_name("driver_child.py")
KINDS = {place.CORE: CORE, place.NEONIZE: NEONIZE}
PATIENCE = 20.0  # seconds


class Driven:
    """A driver in a child process; `heard` are its events in order."""

    def __init__(self, config: Path, folder: Path, kind: str, program: Path = CHILD) -> None:
        self._config, self.folder, self.kind, self._program = config, folder, kind, program
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Condition()
        self.heard: list[port.Event | PontonError] = []
        self.ended = False

    async def open(self) -> None:
        """Start the child; the driver does nothing until it is asked."""
        argv, env = sandboxed(
            [sys.executable, str(self._program), str(self.folder), self.kind],
            os.environ | WANTED | {"PYTHONPATH": str(ROOT)},
            self._config,
        )
        self._child = await asyncio.create_subprocess_exec(
            *argv, env=env, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24
        )
        self._reading = asyncio.create_task(self._read())

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._child.returncode is None:
            self._child.kill()
        await self._child.wait()
        await self._reading

    async def again(self) -> None:
        """A crash, and a new process on the same folder, started."""
        await self.kill()
        self.heard.clear()
        await self.open()
        await self.call("start")

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def core(self) -> int:
        """The process id of its core, 0 while there is none."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    @property
    def descriptors(self) -> int:
        """How many files and sockets the child has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    async def call(self, method: str, *arguments: object, patience: float = PATIENCE, **keywords: object) -> Any:  # noqa: ANN401 - any method's
        """Call the driver; its typed errors are raised here."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._child.stdin is not None
        self._child.stdin.write(base64.b64encode(pickle.dumps((number, method, arguments, keywords))) + b"\n")
        async with asyncio.timeout(patience):
            return await answer

    async def send(self, to: Address, text: str, seconds: float = 10.0, *, message_id: str | None = None) -> port.Sent:
        """Send a text."""
        sent: port.Sent = await self.call("send", to, port.Text(text), message_id=message_id, seconds=seconds)
        return sent

    def all(self, kind: type[E]) -> list[E]:
        """All events of a kind so far."""
        return [event for event in self.heard if isinstance(event, kind)]

    async def hear(
        self,
        kind: type[E],
        accept: Callable[[E], object] = lambda _: True,
        *,
        since: int = 0,
        patience: float = PATIENCE,
    ) -> E:
        """Wait for the first event of a kind that is accepted, after the first `since` events."""

        def found() -> E | None:
            return next((e for e in self.heard[since:] if isinstance(e, kind) and accept(e)), None)

        try:
            async with asyncio.timeout(patience), self._news:
                await self._news.wait_for(lambda: found() is not None or self._reading.done())
        except TimeoutError:
            pass
        event = found()
        assert event is not None, f"no {kind.__name__}; heard: {self.heard}"
        return event

    async def link(self, reason: Reason, *, since: int = 0, patience: float = PATIENCE) -> port.Link:
        """Wait for the link to be in this state."""
        return await self.hear(port.Link, lambda link: link.reason is reason, since=since, patience=patience)

    async def text(self, body: str) -> port.Message:
        """Wait for this text."""
        return await self.hear(port.Message, lambda message: message.content == port.Text(body))

    async def _read(self) -> None:
        assert self._child.stdout is not None
        while line := await self._child.stdout.readline():
            match pickle.loads(base64.b64decode(line)):  # noqa: S301 - from our own child
                case ("event", event):
                    self.heard.append(event)
                case ("end",):
                    self.ended = True
                case ("answer", number, value):
                    self._answers.pop(number).set_result(value)
                case ("error", number, error):
                    self._answers.pop(number).set_exception(error)
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


class Scene:
    """Alice with a driver, Bob in her address book."""

    def __init__(self, sandbox: SandboxClient, alice: AccountHandle, bob: AccountHandle, driver: Driven) -> None:
        self.sandbox, self.alice, self.bob, self.driver = sandbox, alice, bob, driver
        self.device = 0

    async def link(self) -> port.Link:
        """Link the driver by its first code and wait until the account is whole; gives the news of it."""
        await self.driver.call("start")
        code = await self.driver.hear(port.Code)
        self.device = await self.alice.scan(code.text)
        connected = await self.driver.link(Reason.CONNECTED)
        await self.alice.synced(self.device)
        return connected


def needs(kind: str, capability: str) -> None:
    """Leave a test to the drivers that declare this capability; the reason names who does not."""
    if not getattr(KINDS[kind], capability):
        pytest.skip(f"{KINDS[kind].name} declares {capability} = False")


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again: for what tells nobody when it changes."""
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.02)


def who(account: AccountHandle) -> Address:
    """The address of an account: number and LID."""
    return Address(number=account.number.removeprefix("+"), lid=account.lid.partition("@")[0])


_people = itertools.count(1)


@asynccontextmanager
async def scene(
    sandbox: SandboxClient, folder: Path, kind: str, *, app_state: bool = True, program: Path = CHILD
) -> AsyncIterator[Scene]:
    """People nobody else has, and a driver of this kind that is not started yet."""
    assert kind != place.CORE or (CORE_FOLDER / place.PROGRAM).exists(), "The core is not built: make core."
    number = next(_people)
    alice = await sandbox.account(f"Alice {number}", contacts=[f"Bob {number}"], app_state=app_state)
    driver = Driven(sandbox.config_file or Path(), folder, kind, program)
    await driver.open()
    try:
        yield Scene(sandbox, alice, await sandbox.contact(f"Bob {number}"), driver)
    finally:
        await driver.kill()


async def still_works(linked: Scene, body: str = "still there") -> None:
    """A message comes through, and so does the answer."""
    await linked.bob.send_text(linked.alice, body)
    await linked.driver.text(body)
    await linked.driver.send(who(linked.bob), f"re: {body}")
    await linked.bob.wait_for("message", text=f"re: {body}")
