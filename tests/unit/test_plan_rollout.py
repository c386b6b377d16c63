"""Whose turn it is in a rollout, wave after wave, and what stops or holds it."""

from collections.abc import Callable

import pytest

from ponton_bridge.model.states import Reason
from ponton_operator.cluster.turns import FRESH, Turns
from ponton_operator.plan.rollout import BACK, JUDGED, LOOK, Turn, has_lost, in_order, member, plan_rollout, steps_of
from ponton_operator.resources.account import BridgeAccount, Desired, RetryStatus
from ponton_operator.resources.base import moment
from ponton_operator.resources.conditions import Type
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout
from tests.unit.fleet_kit import NOW, edited, marked, parked, served, shard, turned

ROLLOUT = Rollout(canary_percent=1, wave_percents=(50, 100), pause_seconds=60)
NEW = GatewayStatus()


def fleet(count: int = 10) -> dict[str, BridgeAccount]:
    """Make paired accounts that run r1, in the order in which they get r2."""
    made = {f"acc-{n}": served(f"acc-{n}") for n in range(count)}
    order = in_order([found for account in made.values() if (found := member(account))], "r2")
    return {m.name: made[m.name] for m in order}


def restarted(name: str, at: float, reason: str = Reason.CONNECTED) -> BridgeAccount:
    """Make one of them that runs r2 since a time."""
    return served(name, shard=shard("r2", started=at), reason=reason)


def turn(
    accounts: dict[str, BridgeAccount], before: GatewayStatus = NEW, rollout: Rollout = ROLLOUT, now: float = NOW
) -> Turn:
    """Ask for the turn of r2."""
    return plan_rollout(list(accounts.values()), rollout, "r2", before, now)


def at(wave: str, lost: int = 0, revision: str = "r2") -> GatewayStatus:
    """Make the gateway's status during a rollout."""
    return GatewayStatus(wave=wave, wave_revision=revision, pairings_lost=lost)


def test_the_canary_goes_first_and_alone() -> None:
    """Of ten paired accounts one is the canary, even if that is more than a percent; others wait."""
    accounts = fleet()
    first = next(iter(accounts))
    assert Turn("Canary", "r2", names=frozenset({first}), open=True, again=NOW + LOOK) == turn(accounts)


def test_between_processes_the_canary_is_still_the_canary() -> None:
    """While the canary has ended and its successor has not begun, nobody takes its place."""
    accounts = fleet()
    first = next(iter(accounts))
    accounts[first] = served(first, shard=shard("r1", ended=NOW), reason=Reason.STARTING)
    seen = turn(accounts, at("Canary"))
    assert ("Canary", frozenset(), NOW + 60) == (seen.wave, seen.names, seen.again)


def test_a_wave_comes_when_the_last_one_has_rested() -> None:
    """The next wave waits for the pause after the last restart, and for those restarted to be linked again."""
    accounts = fleet()
    names = list(accounts)
    accounts[names[0]] = restarted(names[0], NOW)
    resting = turn(accounts, at("Canary"), now=NOW + 59)
    assert ("Canary", frozenset(), NOW + 60) == (resting.wave, resting.names, resting.again)
    rested = turn(accounts, at("Canary"), now=NOW + 60)
    assert ("Wave1", frozenset(names[1:5])) == (rested.wave, rested.names)
    accounts[names[0]] = restarted(names[0], NOW, Reason.CONNECTING)
    away = turn(accounts, at("Canary"), now=NOW + 60)
    assert ("Canary", frozenset(), NOW + 60 + LOOK) == (away.wave, away.names, away.again)


def test_a_wave_that_was_reached_needs_no_second_rest() -> None:
    """When a canary restarts for its own reasons during the last wave, the wave goes on."""
    accounts = fleet()
    names = list(accounts)
    for name in names[:6]:
        accounts[name] = restarted(name, NOW - 500)
    accounts[names[0]] = restarted(names[0], NOW - 1)
    assert frozenset(names[6:]) == turn(accounts, at("Wave2")).names
    assert frozenset() == turn(accounts, at("Wave2", revision="other")).names


def test_a_wave_waits_for_those_that_do_not_come_back() -> None:
    """More than one in a hundred without a link two minutes after the restart stop it, until they are back."""
    accounts = fleet()
    names = list(accounts)
    for name in names[:3]:
        accounts[name] = restarted(name, NOW - 2 * BACK)
    accounts[names[2]] = restarted(names[2], NOW - BACK, Reason.CONNECTING)
    held = turn(accounts, at("Wave1"))
    assert Turn("Stopped", "r2", again=NOW + LOOK) == held
    assert frozenset(names[3:5]) == turn(accounts | {names[2]: restarted(names[2], NOW - BACK)}, held.status(NEW)).names
    assert frozenset(names[3:5]) == turn(accounts, at("Wave1"), now=NOW - 1).names
    assert (
        frozenset(names[3:5]) == turn(accounts, at("Wave1"), ROLLOUT.model_copy(update={"max_pairings_lost": 1})).names
    )


def test_who_had_no_link_before_holds_nobody_up() -> None:
    """A canary that has been cut off for days says nothing about the template; one cut off by its restart does."""
    accounts = fleet()
    first = next(iter(accounts))

    def cut(since: float) -> Turn:
        conditions = turned(Type.WHATSAPP_CONNECTED, since)
        moved = shard("r2", started=NOW - 2 * BACK)
        accounts[first] = served(first, shard=moved, reason=Reason.UNREACHABLE, conditions=conditions)
        return turn(accounts, at("Canary"))

    assert "Wave1" == cut(NOW - 86_400).wave
    assert "Stopped" == cut(NOW - 2 * BACK - 5).wave


def test_it_stops_when_a_restarted_account_has_lost_its_link() -> None:
    """One lost pairing is more than none; the number stays although the owner links again."""
    accounts = fleet()
    first = next(iter(accounts))
    accounts[first] = served(
        first, shard=shard("r2", started=NOW, ended=NOW + 9), parking=parked(Reason.LOGGED_OUT, NOW + 9), paired=False
    )
    stopped = turn(accounts, at("Canary"), now=NOW + 10)
    assert Turn("Stopped", "r2", 1) == stopped
    accounts[first] = restarted(first, NOW + 100)
    assert Turn("Stopped", "r2", 1) == turn(accounts, stopped.status(NEW), now=NOW + 500)


def test_the_host_or_a_new_template_lets_it_go_on() -> None:
    """Accepting the loss is setting maxPairingsLost to the number that is shown; another revision begins anew."""
    accounts = fleet()
    assert "Stopped" == turn(accounts, at("Stopped", 2)).wave
    assert "Canary" == turn(accounts, at("Stopped", 2), Rollout(max_pairings_lost=2)).wave
    assert ("Canary", 0) == (turn(accounts, at("Stopped", 2, "r1")).wave, turn(accounts, at("Stopped", 2, "r1")).lost)


def test_paused_or_in_trouble_nobody_goes() -> None:
    """The wave is shown as it is, and nothing is let through; the end of a trouble is looked for."""
    accounts = fleet()
    assert Turn("Canary", "r2") == turn(accounts, rollout=Rollout(paused=True))
    troubled = plan_rollout(list(accounts.values()), ROLLOUT, "r2", NEW, NOW, troubled=True)
    assert Turn("Canary", "r2", again=NOW + LOOK) == troubled


def test_those_without_a_link_go_in_any_wave() -> None:
    """They count in no wave; when only they are left, the last wave is open for them."""
    accounts = fleet(1) | {"acc-u": served("acc-u", paired=False, reason=Reason.WAITING_FOR_OWNER)}
    assert turn(accounts).lets("acc-u", paired=False)
    accounts["acc-0"] = restarted("acc-0", NOW - 300)
    last = turn(accounts, at("Canary"))
    assert ("Wave2", frozenset(), True) == (last.wave, last.names, last.open)
    assert not last.lets("acc-0", paired=True)


def test_it_is_done_when_nobody_runs_the_old_one() -> None:
    """Accounts without a shard have nothing to restart."""
    assert Turn("Done", "r1") == plan_rollout(list(fleet().values()), ROLLOUT, "r1", NEW, NOW)
    gone = {"a": served("a", shard=None), "b": served("b", shard=shard("r1", ended=NOW))}
    assert "Done" == turn(gone).wave


@pytest.mark.parametrize(
    "apart",
    [
        lambda a: edited(a, desired=Desired.STOPPED),
        lambda a: marked(a, deletion_timestamp=moment(NOW)),
        lambda a: marked(a, annotations={"ponton.im/paused": "true"}),
        lambda _: served(reason="WaitingForNode"),
        lambda _: served(reason="Duplicate"),
        lambda _: served(parking=parked(Reason.BANNED, NOW)),
        lambda _: served(shard=None),
    ],
    ids=["stopped", "deleted", "braked", "node lost", "duplicate", "parked", "never started"],
)
def test_some_take_no_part(apart: Callable[[BridgeAccount], BridgeAccount]) -> None:
    """What is not served, or out of our hands, holds no wave up."""
    assert member(served()) is not None
    assert member(apart(served())) is None


def test_only_what_the_new_revision_caused_is_a_loss() -> None:
    """Not an end of the old one, nor one long after the start, a failed pairing, or a row of crashes that is older."""

    def lost(reason: str, *, lived: float = 1, revision: str = "r2") -> bool:
        parking = parked(reason, NOW + lived)
        return has_lost(served(shard=shard(revision, started=NOW, ended=NOW + lived), parking=parking), "r2")

    def crashes(failures: int, revision: str) -> bool:
        retry = RetryStatus(failures=failures, revision=revision)
        return has_lost(served(shard=shard("r2"), retry=retry, reason=Reason.CRASHING), "r2")

    assert lost(Reason.LOGGED_OUT)
    assert lost(Reason.BANNED, lived=JUDGED)
    assert not lost(Reason.LOGGED_OUT, lived=JUDGED + 1)
    assert not lost(Reason.LOGGED_OUT, revision="r1")
    assert not lost(Reason.CODES_USED_UP)
    assert not lost(Reason.UNLINKED)
    assert crashes(3, "r2")
    assert not crashes(2, "r2")
    assert not crashes(9, "r1")


def test_each_revision_has_another_order() -> None:
    """Nobody is always the canary, and the order does not depend on that of the list."""
    members = [found for account in fleet(50).values() if (found := member(account))]
    assert in_order(members, "r2") == in_order(reversed(members), "r2")
    assert len({in_order(members, f"r{n}")[0].name for n in range(20)}) > 5


def test_waves_grow_and_take_all_at_last() -> None:
    """Each wave takes in those before it; without a canary the first wave begins."""
    assert [("Wave1", 1), ("Wave2", 6), ("Wave3", 10)] == [
        (step.name, step.count) for step in steps_of(Rollout(canary_percent=0, wave_percents=(10, 60, 100)), 10)
    ]
    assert [("Canary", 100), ("Wave1", 1000)] == [
        (step.name, step.count) for step in steps_of(Rollout(canary_percent=10, wave_percents=(100,)), 1000)
    ]


def test_more_canaries_than_a_wave_has_are_all_rested_after() -> None:
    """A wave is never smaller than what went before it, so the next one waits for the last canary's restart, too."""
    few = Rollout(canary_percent=20, wave_percents=(1, 100), pause_seconds=60)
    assert [2, 2, 10] == [step.count for step in steps_of(few, 10)]
    accounts = fleet()
    names = list(accounts)
    accounts[names[0]] = restarted(names[0], NOW - 90)
    accounts[names[1]] = restarted(names[1], NOW - 30)
    assert frozenset() == turn(accounts, at("Canary"), few).names
    assert frozenset(names[2:]) == turn(accounts, at("Canary"), few, now=NOW + 30).names


def test_a_look_is_good_for_a_moment() -> None:
    """Within a second the turn is not found anew unless the gateway changed, and what was found is remembered."""
    turns, looks, accounts = Turns(), list[float](), fleet()

    def look(now: float, rollout: Rollout = ROLLOUT) -> Turn:
        def all_of_them() -> list[BridgeAccount]:
            looks.append(now)
            return list(accounts.values())

        return turns.look(all_of_them, rollout, "r2", at("Canary", 1), now)

    assert "Stopped" == look(NOW).wave
    assert "Stopped" == look(NOW + FRESH / 2).wave
    assert "Canary" == look(NOW + FRESH / 2, Rollout(max_pairings_lost=1)).wave
    assert 1 == look(NOW + 2 * FRESH, Rollout(max_pairings_lost=1)).lost
    assert [NOW, NOW + FRESH / 2, NOW + 2 * FRESH] == looks
