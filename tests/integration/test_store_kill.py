"""kill -9 at any moment: nothing committed is lost, nothing is there twice or half."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from ponton_bridge.store.errors import StoreLocked
from ponton_bridge.store.opening import open_store

CHILD = Path(__file__).with_name("journaling_child.py")
ROUNDS = 12


async def run_and_kill(folder: Path, epoch: int, lines: int, seconds: float) -> list[int]:
    """Let a child journal, kill it some time after its n-th report; gives the numbers that it reported."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(folder), str(epoch), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    reported: list[int] = []
    async with asyncio.timeout(30):
        while len(reported) < lines:
            line = await child.stdout.readline()
            assert line, "The child ended by itself."
            reported.append(int(line))
        await asyncio.sleep(seconds)  # where in its work it is hit is the point of the test
        child.kill()
        rest = (await child.stdout.read()).decode()
        await child.wait()
    whole, _, _ = rest.rpartition("\n")
    return reported + [int(line) for line in whole.split()]


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_random(tmp_path: Path, seed: int) -> None:
    """After each of many kills the journal holds every reported number, in order, once and whole."""
    rng = random.Random(seed)
    reported: list[int] = []
    for epoch in range(1, ROUNDS + 1):
        reported += await run_and_kill(tmp_path, epoch, rng.randrange(0, 300), rng.random() * 0.02)
        journal = await asyncio.to_thread(open_store, tmp_path, epoch)
        gen, n = journal.cursor()
        numbers = list(range(1, n + 1))
        assert reported == sorted(set(reported)), "A number was reported twice or out of order."
        assert not reported or reported[-1] <= n, "A reported number is lost."
        assert [f"<m n='{i}'/>" for i in numbers] == [row.xml for row in journal.pending(n + 10)]
        assert [(i, f"<s n='{i}'/>") for i in numbers] == journal.outbox(0, n + 10)
        assert [f"ID{i}" if i % 3 == 0 else None for i in numbers] == [
            row.message_id for row in journal.pending(n + 10)
        ]
        (seen,) = journal.db.execute("SELECT count(*) FROM seen").fetchone()
        assert n == seen
        assert epoch == journal.last_epoch()
        journal.close()
    assert gen == "gen"
    assert len(reported) > ROUNDS


async def test_the_dead_hold_no_lock(tmp_path: Path) -> None:
    """While a process lives its store is refused to others; the moment it is reaped it is free, whoever it was."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(tmp_path), "1", stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        await asyncio.wait_for(child.stdout.readline(), 30)
        with pytest.raises(StoreLocked):
            await asyncio.to_thread(open_store, tmp_path, 2)
    finally:
        child.kill()
        await child.communicate()
    (await asyncio.to_thread(open_store, tmp_path, 2)).close()
