"""Turns of sending: one of a chat at a time in the order of the calls, chats beside each other, only so many in all."""

import asyncio
from contextlib import suppress

import pytest

from ponton_bridge.whatsapp.core_driver.turns import AT_ONCE, Turns

PATIENCE = 5.0  # seconds


class Sends:
    """Sends that end when they are told to; `begun` are those that had their turn, in order."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    def send(self, chat: str, name: str, seconds: float = PATIENCE) -> "asyncio.Task[None]":
        """Begin one, once it is its turn."""
        self._ends[name] = asyncio.Event()
        return asyncio.create_task(self._send(chat, name, seconds))

    async def _send(self, chat: str, name: str, seconds: float) -> None:
        async with self.turns.of(chat, seconds):
            self.begun.append(name)
            await self._ends[name].wait()

    async def end(self, name: str, task: "asyncio.Task[None]") -> None:
        """Let one end."""
        self._ends[name].set()
        await asyncio.wait_for(task, PATIENCE)


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_order_within_a_chat() -> None:
    """The next of a chat begins when the one before has ended, first come first served; another chat does not wait."""
    sends = Sends()
    tasks = {name: sends.send(name[0], name) for name in ("a1", "a2", "a3", "b1")}
    await settle()
    assert ["a1", "b1"] == sends.begun
    for name in ("a1", "a2", "a3", "b1"):
        await sends.end(name, tasks[name])
        await settle()
    assert ["a1", "b1", "a2", "a3"] == sends.begun
    assert {} == sends.turns._chats


async def test_turn_that_does_not_come_in_time() -> None:
    """Who waits too long is told so and has begun nothing; those behind keep their places."""
    sends = Sends()
    first, second, third = sends.send("a", "1"), sends.send("a", "2", seconds=0.01), sends.send("a", "3")
    with pytest.raises(TimeoutError):
        await second
    assert ["1"] == sends.begun
    await sends.end("1", first)
    await sends.end("3", third)
    assert (["1", "3"], {}) == (sends.begun, sends.turns._chats)


async def test_waiting_has_a_limit_and_sending_has_its_own() -> None:
    """The seconds are for the wait alone: what has begun is not cut off by them."""
    sends = Sends()
    task = sends.send("a", "1", seconds=0.05)
    await asyncio.sleep(0.1)
    assert not task.done()
    await sends.end("1", task)


async def test_so_many_at_once() -> None:
    """However many chats there are, no more sends are under way; the next begins with the first that ends."""
    sends = Sends()
    names = [str(n) for n in range(AT_ONCE + 3)]
    tasks = [sends.send(name, name) for name in names]
    await settle()
    assert names[:AT_ONCE] == sends.begun
    await sends.end("0", tasks[0])
    await settle()
    assert names[: AT_ONCE + 1] == sends.begun
    for name, task in zip(names, tasks, strict=True):
        await sends.end(name, task)
    assert (names, {}) == (sends.begun, sends.turns._chats)


@pytest.mark.parametrize("which", [0, 1], ids=["the one that is sent", "one that waits"])
async def test_one_that_is_given_up_blocks_nobody(which: int) -> None:
    """A caller that is cancelled gives its turn on, or its place in the queue up."""
    sends = Sends()
    tasks = [sends.send("a", name) for name in ("1", "2", "3")]
    await settle()
    tasks[which].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[which]
    for name, task in zip("123", tasks, strict=True):
        if not task.done():
            await sends.end(name, task)
    assert "3" == sends.begun[-1]
    assert {} == sends.turns._chats
