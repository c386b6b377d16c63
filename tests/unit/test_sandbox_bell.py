"""The bell that wakes long polls: who is woken, who is not, and that nobody is left on the list."""

import asyncio

from tests.sandbox.phones.bell import Bell

LONG = 30.0  # seconds that no test waits for


async def waiting(bell: Bell, count: int, seconds: float = LONG) -> list[asyncio.Task[None]]:
    """So many that wait at a bell by now."""
    tasks = [asyncio.create_task(bell.wait(seconds)) for _ in range(count)]
    await asyncio.sleep(0)  # one turn of the loop begins them all
    assert count == len(bell.waiting)
    return tasks


async def test_wakes_everybody_who_waits() -> None:
    """Lets all go on at one ring."""
    bell = Bell()
    tasks = await waiting(bell, 3)
    bell.ring()
    await asyncio.gather(*tasks)
    assert [] == bell.waiting


async def test_a_ring_that_nobody_heard_is_over() -> None:
    """Wakes nobody who begins to wait after it."""
    bell = Bell()
    bell.ring()
    (task,) = await waiting(bell, 1)
    assert not task.done()
    bell.ring()
    await task


async def test_who_gives_up_is_forgotten() -> None:
    """Takes a waiter off the list when its time is over or it went away, and rings for the others."""
    bell = Bell()
    patient, leaving = await waiting(bell, 2)
    await bell.wait(0.001)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert 1 == len(bell.waiting)
    bell.ring()
    await patient
    assert [] == bell.waiting
