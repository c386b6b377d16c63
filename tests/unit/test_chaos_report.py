"""The verdict on a chaos run: a clean run holds, and each kind of defect fails its own row."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ponton_bridge.whatsapp.core_driver import place
from tests.chaos.history import Direction, Seen, Token
from tests.chaos.report import Row, keep, rows, table
from tests.chaos.run import Profile, Run
from tests.chaos.schedule import Fault, Strike
from tests.chaos.town import Town, neighbours
from tests.demo.say import Say
from tests.sandbox.launch import DRIVER_VARIABLE

OUT, IN = Direction.OUT, Direction.IN
CHATS = neighbours(2, 2, 2)
COUNT = 100  # messages of each chat and direction
PROFILE = Profile("tiny", 2, 2, 2, COUNT * len(CHATS), 1.0, 2, {Fault.SHARD_KILLED: 2})


@pytest.fixture(autouse=True)
def neonize(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with the driver that may lose something."""
    monkeypatch.setenv(DRIVER_VARIABLE, place.NEONIZE)


def clean() -> Run:
    """Make a run in which all went well: two kills, one of the runtime, everybody back after a second."""
    run = Run(Town(None, None, CHATS), PROFILE, 1, Say(lambda _line: None))  # type: ignore[arg-type]  # gone by then
    for way in Direction:
        run.books.sent[way] = [Token(way, *chat, n) for n in range(COUNT) for chat in CHATS]
        run.books.seen[way] = [Seen(t.owner, t.contact, way, t, f"k {t}") for t in run.books.sent[way]]
    run.books.ids = {token: f"id {token}" for sent in run.books.sent.values() for token in sent}
    run.books.uncertain = {"o0": 0, "o1": 0}
    run.nemesis.done = [(n, Strike(n, Fault.SHARD_KILLED, "o0")) for n in range(2)]
    run.nemesis.alone = [("o0", 100.0), ("o1", 200.0)]
    run.nemesis.kills = {"o0": [100.0, 300.0], "o1": [200.0, 300.0]}
    run.nemesis.storms = [300.0]
    run.connections = {"o0": [50.0, 101.0, 310.0], "o1": [50.0, 201.0, 309.0]}
    run.watch.looks = 1
    run.watch.pings = [(1.0, 0.1)]
    return run


def failing(run: Run) -> list[str]:
    """Give the names of the rows that do not hold."""
    return [row.name for row in rows(run) if row.holds is False]


def lose(run: Run, way: Direction, owner: str = "o0", *, ids: bool = True) -> Token:
    """Hide the first message of an owner that was seen; `ids`: WhatsApp has an acknowledgement of it at a kill."""
    token = next(one.token for one in run.books.seen[way] if one.owner == owner)
    run.books.seen[way] = [one for one in run.books.seen[way] if one.token != token]
    if ids:
        run.watch.acknowledged.at[owner, run.books.ids[token]] = 99.5
    return token


def again(run: Run, way: Direction) -> None:
    """Show the first message a second time under another id."""
    first = run.books.seen[way][0]
    run.books.seen[way].append(Seen(first.owner, first.contact, way, first.token, "again"))


def astray(run: Run, way: Direction) -> None:
    """Show the first message to somebody else as well."""
    first = run.books.seen[way][0]
    run.books.seen[way].append(Seen("o1", first.contact, way, first.token, "astray"))


def swap(run: Run, way: Direction) -> None:
    """Turn the order of what was seen."""
    run.books.seen[way].reverse()


def test_a_clean_run_holds() -> None:
    """Nothing to complain of, and the figures are those of the run."""
    found = {row.name: row.value for row in rows(clean())}
    assert [] == failing(clean())
    assert (400, 400) == (found["XMPP -> WhatsApp: delivered"], found["WhatsApp -> XMPP: delivered"])
    assert (1.0, 10.0) == (found["crashed shard bridged again, p50, s"], found["runtime killed, all bridged again, s"])


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda run: lose(run, OUT), ["delivered", "lost in silence"]),
        (lambda run: run.books.told.update({lose(run, OUT): "x"}), ["delivered", "told by an error instead"]),
        (lambda run: run.books.told.update({run.books.sent[OUT][0]: "x"}), ["delivered and told"]),
        (lambda run: again(run, OUT), ["doubled and not counted"]),
        (lambda run: astray(run, OUT), ["at another owner's or contact's"]),
        (lambda run: swap(run, OUT), ["out of order"]),
        (lambda run: run.books.sent[OUT].pop(), ["messages that nobody sent"]),
    ],
)
def test_defects_towards_whatsapp(harm: Callable[[Run], object], expected: list[str]) -> None:
    """Each defect fails the row that names it."""
    run = clean()
    harm(run)
    assert [f"XMPP -> WhatsApp: {name}" for name in expected] == failing(run)


def test_a_repeat_under_the_same_id_is_counted_and_no_fault() -> None:
    """The contact's app shows it once; how often it came is told."""
    run = clean()
    run.books.seen[OUT].append(run.books.seen[OUT][0])
    assert [] == failing(run)
    assert [1] == [row.value for row in rows(run) if row.name == "XMPP -> WhatsApp: came again under the same id"]


def test_a_counted_double_is_the_drivers() -> None:
    """Doubled where the shard of that owner counted an uncertain send: its limit; another owner's count is not."""
    run = clean()
    again(run, OUT)
    run.books.uncertain = {"o0": 1}
    assert [] == failing(run)
    run.books.uncertain = {"o1": 1}
    assert ["XMPP -> WhatsApp: doubled and not counted"] == failing(run)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda run: lose(run, IN), []),
        (lambda run: lose(run, IN, "o1"), ["lost in any other way"]),  # o1 was not killed at that moment
        (lambda run: lose(run, IN, ids=False), ["lost in any other way"]),
        (
            lambda run: run.books.journaled.update({"o0": {run.books.ids[lose(run, IN)]}}),
            ["lost in any other way"],
        ),
        (lambda run: [lose(run, IN) for _ in range(3)], ["lost inside the driver (neonize) at a kill"]),  # two at most
        (lambda run: again(run, IN), ["doubled"]),
        (lambda run: astray(run, IN), ["at another owner's or contact's"]),
        (lambda run: swap(run, IN), ["out of order"]),
    ],
)
def test_defects_towards_xmpp(harm: Callable[[Run], object], expected: list[str]) -> None:
    """A loss is the driver's only next to a kill of that shard, unjournaled, and one of few."""
    run = clean()
    harm(run)
    assert [f"WhatsApp -> XMPP: {name}" for name in expected] == failing(run)


def test_the_core_has_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss at a kill that neonize is forgiven is none that the core may have."""
    monkeypatch.setenv(DRIVER_VARIABLE, place.CORE)
    run = clean()
    lose(run, IN)
    assert ["WhatsApp -> XMPP: lost inside the driver (core) at a kill"] == failing(run)


def test_what_had_to_be_asked_for_again_is_late() -> None:
    """Behind others is the place of a message that came unreadable; of no other one."""
    run = clean()
    seen = run.books.seen[IN]
    seen.append(seen.pop(0))
    assert ["WhatsApp -> XMPP: out of order"] == failing(run)
    run.watch.asked_again = {run.books.ids[seen[-1].token]}
    assert [] == failing(run)
    run.watch.asked_again = {run.books.ids[seen[-2].token]}
    assert ["WhatsApp -> XMPP: out of order"] == failing(run)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda run: run.nemesis.done.pop(), ["faults"]),
        (lambda run: setattr(run.books, "accepted_late", 1), ["stanzas accepted from a replaced WhatsApp session"]),
        (lambda run: setattr(run.watch, "backwards", 1), ["heartbeats of an old epoch"]),
        (lambda run: setattr(run.watch, "looks", 0), ["looks at the heartbeats"]),
        (lambda run: setattr(run.watch.acknowledged, "blind", 1), ["entries of the sandbox's trace not read in time"]),
        (lambda run: run.watch.pings.append((2.0, None)), ["of these unanswered while the servers were there"]),
        (lambda run: run.connections.update({"o0": [50.0, 310.0]}), ["crashed shard bridged again, p99, s"]),
        (
            lambda run: run.connections.update({"o0": [105.0, 310.0], "o1": [205.0, 309.0]}),
            ["crashed shard bridged again, p50, s"],
        ),
        (
            lambda run: run.connections.update({"o0": [101.0]}),
            ["runtime killed, all bridged again, s"],
        ),
    ],
)
def test_defects_around(harm: Callable[[Run], object], expected: list[str]) -> None:
    """What happens beside the messages has rows of its own."""
    run = clean()
    harm(run)
    assert expected == failing(run)


@pytest.mark.parametrize(("away", "count"), [([(1.0, 3.0)], 0), ([(6.0, 9.0)], 0), ([(8.0, 9.0)], 1), ([], 1)])
def test_nobody_is_asked_while_the_servers_are_away(away: list[tuple[float, float]], count: int) -> None:
    """A question counts when servers were there from asking until an answer would have been too late."""
    run = clean()
    run.watch.pings = [(2.0, None), (2.0, 0.1)]
    assert count == run.watch.unanswered(away)


def test_the_table_says_what_fails(tmp_path: Path) -> None:
    """People read FAILS, programs read the same as JSON."""
    found = [Row("good", 0, "0", holds=True), Row("bad thing", 1, "0", holds=False), Row("told", "x")]
    assert ["good", "bad", "told"] == [line.split()[0] for line in table(found).splitlines()]
    assert ["holds", "FAILS", "x"] == [line.split()[-1] for line in table(found).splitlines()]
    keep(tmp_path / "deep" / "chaos.json", clean(), found, {"machine": "this"})
    kept = json.loads((tmp_path / "deep" / "chaos.json").read_text())
    assert (1, "this", {"shard killed": 2}) == (kept["seed"], kept["machine"], kept["profile"]["faults"])
    assert [True, False, None] == [row["holds"] for row in kept["rows"]]
