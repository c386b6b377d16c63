"""The keyed queue: one at a time for each key, nothing lost, nothing for ever."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_operator.cluster.queue import KeyedQueue


async def settle(queue: KeyedQueue) -> None:
    """Let everything that is ready happen."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_works_on_each_key() -> None:
    """Added many times before its turn, a key is worked on once."""
    done: list[str] = []

    async def handler(key: str) -> None:
        done.append(key)

    queue = KeyedQueue(handler)
    for key in "aabab":
        queue.add(key)
    await settle(queue)
    assert ["a", "b"] == done
    await queue.close()


async def test_never_two_of_one_key() -> None:
    """A key that is added while it is worked on is worked on again afterwards, not at the same time."""
    busy: Counter[str] = Counter()
    rounds: Counter[str] = Counter()
    go = asyncio.Event()

    async def handler(key: str) -> None:
        busy[key] += 1
        assert 1 == busy[key]
        rounds[key] += 1
        await go.wait()
        busy[key] -= 1

    queue = KeyedQueue(handler)
    queue.add("a")
    await settle(queue)
    queue.add("a")
    queue.add("b")
    await settle(queue)
    assert Counter(a=1, b=1) == rounds
    go.set()
    await settle(queue)
    assert Counter(a=2, b=1) == rounds
    await queue.close()


async def test_keeps_to_its_number_of_workers() -> None:
    """No more keys at once than there are workers; the rest has its turn later."""
    working, most, done = 0, 0, 0

    async def handler(_: str) -> None:
        nonlocal working, most, done
        working += 1
        most = max(most, working)
        await asyncio.sleep(0)
        working -= 1
        done += 1

    queue = KeyedQueue(handler, workers=3)
    for number in range(20):
        queue.add(str(number))
    await settle(queue)
    assert (20, 3) == (done, most)
    await queue.close()


async def test_the_earlier_time_counts() -> None:
    """Of several times for one key the earliest stays, and a passed one is now."""
    done: list[str] = []

    async def handler(key: str) -> None:
        done.append(key)

    queue = KeyedQueue(handler)
    queue.add_after("a", 1000)
    queue.add_after("a", -5)
    queue.add_after("a", 500)
    async with asyncio.timeout(10):
        while not done:  # noqa: ASYNC110  # the loop's timer is what is waited for
            await asyncio.sleep(0.001)
    assert ["a"] == done
    await queue.close()


async def test_closing_takes_nothing_more() -> None:
    """What runs is finished, what waits is dropped, what comes later is not taken."""
    done: list[str] = []

    async def handler(key: str) -> None:
        await asyncio.sleep(0.01)
        done.append(key)

    queue = KeyedQueue(handler, workers=1)
    queue.add("a")
    queue.add("b")
    queue.add_after("c", 0.001)
    await asyncio.sleep(0)  # "a" runs now
    await queue.close()
    queue.add("d")
    queue.add_after("e", 0)
    await asyncio.sleep(0.03)
    assert ["a"] == done


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=40), st.integers(1, 3))
async def test_every_change_is_seen(script: list[tuple[str, int]], workers: int) -> None:
    """Whatever the timing, the last change of each key is followed by a look that began after it."""
    versions: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    async def handler(key: str) -> None:
        version = versions[key]
        await asyncio.sleep(0)
        seen[key] = version

    queue = KeyedQueue(handler, workers)
    for key, yields in script:
        versions[key] += 1
        queue.add(key)
        for _ in range(yields):
            await asyncio.sleep(0)
    await settle(queue)
    assert versions == seen
    await queue.close()
