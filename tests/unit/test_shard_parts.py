"""Small parts of the shard program by themselves: last words on disk, background tasks, what is idle presence."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from ponton_bridge.model.states import Reason
from ponton_bridge.shard.background import Background
from ponton_bridge.shard.ending import LastState, ended_before, leave
from ponton_bridge.shard.inbox import _idle
from ponton_bridge.shard.owner import _priority
from tests.harness.dialogue import stanza

STATE = LastState(7, "i", Reason.CODES_USED_UP, 1.5, 0.0, 0)


def test_the_last_state_is_left_for_the_operator(tmp_path: Path) -> None:
    """Writes the state whole, for its owner only, and over the one before."""
    leave(tmp_path, STATE)
    leave(tmp_path, LastState(8, "j", Reason.BANNED, 2.5, 99.0, 1))
    path = tmp_path / "last-state.json"
    expected = {"epoch": 8, "instance": "j", "reason": "Banned", "since": 2.5, "until": 99.0, "paired": 1}
    assert expected == json.loads(path.read_text())
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert ["last-state.json"] == [each.name for each in tmp_path.iterdir()]


def test_in_a_pod_the_same_is_left_where_the_kubelet_reads(tmp_path: Path) -> None:
    """The kubelet makes the file; where there is none nothing is made, and a link is not followed."""
    message, other = tmp_path / "termination-log", tmp_path / "other"
    leave(tmp_path, STATE, message)
    assert not message.exists()
    message.write_text("something longer than a state " * 20)
    leave(tmp_path, STATE, message)
    assert json.loads((tmp_path / "last-state.json").read_text()) == json.loads(message.read_text())
    other.write_text("untouched")
    message.unlink()
    message.symlink_to(other)
    leave(tmp_path, STATE, message)
    assert "untouched" == other.read_text()


def test_a_full_disk_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """Ends without the file when it cannot be written."""
    leave(tmp_path / "nowhere", STATE)
    assert None is ended_before(tmp_path / "nowhere", 7)


def test_an_attempt_that_ended_is_remembered_in_its_epoch(tmp_path: Path) -> None:
    """Gives how linking ended to a restart of the same epoch, and forgets it for the next."""
    leave(tmp_path, STATE)
    assert Reason.CODES_USED_UP is ended_before(tmp_path, 7)
    assert None is ended_before(tmp_path, 8)
    leave(tmp_path, LastState(7, "i", Reason.CONNECTED, 1.5))
    assert None is ended_before(tmp_path, 7)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"epoch": 7}', '{"epoch": 7, "reason": "Nonsense"}'])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: str) -> None:
    """Begins anew when the file says nothing that can be understood."""
    (tmp_path / "last-state.json").write_text(content)
    assert None is ended_before(tmp_path, 7)


async def test_a_background_task_that_fails_is_heard() -> None:
    """Raises the first error of any task, and ends the others."""
    background = Background()
    begun = asyncio.Event()

    async def fail() -> None:
        await begun.wait()
        raise LookupError("first")

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    background.spawn(fail())
    waiting = background.spawn(wait())
    with pytest.raises(LookupError, match="first"):
        await asyncio.wait_for(background.run(), 10)
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_a_background_task_gives_its_result() -> None:
    """Lets whoever is interested await a task."""
    background = Background()

    async def answer() -> int:
        return 42

    assert 42 == await background.spawn(answer())


@pytest.mark.parametrize(
    ("literal", "idle"),
    [
        ("<presence from='a@b/c' to='+49@g'/>", True),
        ("<presence from='a@b/c' to='+49@g' type='unavailable'/>", True),
        ("<presence from='a@b/c' to='+49@g' type='probe'/>", False),
        ("<presence from='a@b/c' to='+49@g' type='subscribe'/>", False),
        ("<presence from='a@b/c' to='+49@g'><x xmlns='http://jabber.org/protocol/muc'/></presence>", False),
        ("<presence from='a@b/c' to='g'/>", False),
        ("<presence from='a@b/c' to='g' type='error'/>", True),
        ("<iq from='a@b' to='g' type='result' id='1'/>", True),
        ("<iq from='a@b' to='g' type='error' id='1'/>", True),
        ("<message from='a@b/c' to='+49@g' type='error'/>", True),
        ("<message from='a@b/c' to='+49@g'/>", False),
        ("<iq from='a@b/c' to='+49@g' type='get'/>", False),
    ],
)
def test_presence_to_each_contact_costs_nothing(literal: str, idle: bool) -> None:  # noqa: FBT001 - a table's column
    """Leaves the features in peace when the owner's server repeats a presence to each contact."""
    assert idle is _idle(stanza(literal))


@pytest.mark.parametrize(
    ("literal", "priority"),
    [("<priority>5</priority>", 5), ("<priority>-1</priority>", -1), ("<priority>x</priority>", 0), ("", 0)],
)
def test_reads_a_priority(literal: str, priority: int) -> None:
    """Takes nonsense for the default."""
    assert priority == _priority(stanza(f"<presence>{literal}</presence>"))
