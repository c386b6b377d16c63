"""The promise of the core on the whole way, Prosody to sandbox: a backlog, kills of core, shard and both, nothing lost.

The short form of `python -m tests.chaos --heavy`, which plays 3,000 messages and 100 kills for each of them, and then
neonize.
"""

from pathlib import Path

import pytest

from ponton_bridge.whatsapp.core_driver import place
from tests.chaos.heavy import heavy
from tests.demo.say import Say

WAITING, KILLS = 80, 3  # for each of what is killed


@pytest.mark.timeout(300)
async def test_backlog_under_kills_comes_whole_once_and_in_order(tmp_path: Path) -> None:
    """Nothing lost, nothing doubled, nothing out of order, whoever is killed."""
    said: list[str] = []
    rows = await heavy(tmp_path, 1, Say(said.append), place.CORE, WAITING, KILLS)
    values = {row.name.partition(": ")[2]: row.value for row in rows}
    assert {
        "waiting messages": 3 * WAITING,
        "kills of shard, core, both at once, just after connecting": 3 * KILLS,
        "lost": 0,
        "out of order": 0,
        "doubled": 0,
    } == values
