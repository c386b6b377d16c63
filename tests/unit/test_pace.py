"""Turns to write: their order, what a cancelled one costs, and that no window of time has more than it may."""

import asyncio

from ponton_operator.cluster.pace import BURST, Pace


async def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    """Whoever asks first writes first."""
    pace, got = Pace(200.0), list[int]()

    async def one(number: int) -> None:
        await pace.turn()
        got.append(number)

    await asyncio.gather(*(one(number) for number in range(140)))
    assert list(range(140)) == got


async def test_what_follows_from_a_decision_goes_before_the_next_one() -> None:
    """In its own order; and who asks for nothing else than decisions waits for nobody behind."""
    rate = 20.0
    pace, got = Pace(rate), list[str]()

    async def one(name: str, *, follows: bool) -> None:
        await pace.turn(follows=follows)
        got.append(name)

    await asyncio.gather(*(pace.turn() for _ in range(int(BURST * rate) + 2)))  # from now on every turn is waited for
    decisions = [one(f"decision {number}", follows=False) for number in range(3)]
    await asyncio.gather(*decisions, *(one(f"deed {number}", follows=True) for number in range(3)))
    assert ["deed 0", "deed 1", "deed 2", "decision 0", "decision 1", "decision 2"] == got


async def test_one_who_asks_no_more_costs_no_turn() -> None:
    """A plan that was given up leaves its place to the next one."""
    pace = Pace(20.0)
    waiting = [asyncio.create_task(pace.turn()) for _ in range(200)]
    await asyncio.sleep(0)
    for each in waiting[20:-1]:
        each.cancel()
    await asyncio.wait_for(waiting[-1], 2.0)


async def test_no_window_of_time_has_more_turns_than_rate_and_burst() -> None:
    """Also when the loop stands still now and then; and what was missed so is given later, up to the burst."""
    rate, got = 100.0, list[float]()
    pace, loop = Pace(rate), asyncio.get_running_loop()

    async def one() -> None:
        await pace.turn()
        got.append(loop.time())

    writing = asyncio.gather(*(one() for _ in range(250)))
    for pause in (0.1, 0.3, 0.9):
        await asyncio.sleep(0.1)
        ends = loop.time() + pause
        while loop.time() < ends:
            pass
    await writing
    most = max(
        number - first + 1 - (until - since) * rate
        for first, since in enumerate(got)
        for number, until in enumerate(got)
        if until >= since
    )
    assert most <= BURST * rate + 1
    assert got[-1] - got[0] < 250 / rate + 0.9
