"""A rollout over accounts that restart, crash, lose their link and come back at random: its promises hold."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.model.states import Reason
from ponton_operator.plan.rollout import STOPPED, Turn, in_order, member, plan_rollout, steps_of
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.gateway import GatewayStatus
from ponton_operator.resources.running import Rollout
from tests.unit.fleet_kit import NOW, parked, served, shard

LOOK = 5.0  # seconds


class Fleet:
    """Accounts of which some lose their link when they are restarted, and an operator that forgets what it can."""

    def __init__(self, count: int, unpaired: int, rollout: Rollout, chance: random.Random) -> None:
        self.rollout, self.chance, self.now = rollout, chance, NOW
        self.accounts = {f"p{n}": served(f"p{n}") for n in range(count)}
        self.accounts |= {f"u{n}": self._unpaired(f"u{n}", "r1", NOW - 100) for n in range(unpaired)}
        order = in_order([found for a in self.accounts.values() if (found := member(a)) and found.paired], "r2")
        self.ranks = {m.name: rank for rank, m in enumerate(order)}
        self.steps = {step.name: step.count for step in steps_of(rollout, count)}
        self.status = GatewayStatus()
        self.lost: set[str] = set()

    def _unpaired(self, name: str, revision: str, at: float) -> BridgeAccount:
        return served(name, paired=False, reason=Reason.WAITING_FOR_OWNER, shard=shard(revision, started=at))

    def look(self) -> Turn:
        """Ask for the turn, and write it."""
        turn = plan_rollout(list(self.accounts.values()), self.rollout, "r2", self.status, self.now)
        self.status = GatewayStatus.model_validate(turn.status(self.status).model_dump())
        return turn

    def restart(self, name: str, *, loses: bool) -> None:
        """Restart an account with the new template."""
        started = shard("r2", started=self.now)
        if not self.accounts[name].status.paired:
            self.accounts[name] = self._unpaired(name, "r2", self.now)
        elif loses:
            self.lost.add(name)
            ended = parked(Reason.LOGGED_OUT, self.now + 1)
            self.accounts[name] = served(name, paired=False, shard=started, parking=ended, reason=Reason.LOGGED_OUT)
        else:
            self.accounts[name] = served(name, shard=started)

    def runs_old(self, name: str) -> bool:
        """Whether it still runs the old template."""
        found = member(self.accounts[name])
        return found is not None and found.revision == "r1"


ROLLOUTS = st.builds(
    Rollout,
    canary_percent=st.sampled_from([0, 1, 20, 100]),
    wave_percents=st.sets(st.integers(1, 99), max_size=4).map(lambda some: (*sorted(some), 100)),
    pause_seconds=st.sampled_from([0, 30, 600]),
    max_pairings_lost=st.integers(0, 3),
)


@settings(deadline=None)
@given(
    st.integers(0, 25), st.integers(0, 6), ROLLOUTS, st.sampled_from([0.0, 0.1, 1.0]), st.randoms(use_true_random=False)
)
def test_waves_keep_their_promises(
    count: int, unpaired: int, rollout: Rollout, bad: float, chance: random.Random
) -> None:
    """Nobody goes before their wave, each wave waits for the pause, and with more lost than allowed nobody goes.

    Without that it ends with everybody restarted.
    """
    fleet = Fleet(count, unpaired, rollout, chance)
    last_restart, last_wave = 0.0, ""
    for _ in range(3 + (count + unpaired + 8) * (2 + int(rollout.pause_seconds / LOOK))):
        fleet.now += LOOK
        turn = fleet.look()
        assert len(fleet.lost) == turn.lost
        if turn.lost > rollout.max_pairings_lost:
            assert not turn.names
            assert not turn.open
        if turn.names and turn.wave != last_wave and last_wave:
            assert fleet.now - last_restart >= rollout.pause_seconds
        for name in turn.names:
            assert fleet.ranks[name] < fleet.steps[turn.wave]
            assert fleet.runs_old(name)
        going = [name for name in fleet.accounts if turn.lets(name, paired=fleet.accounts[name].status.paired)]
        for name in [name for name in going if fleet.runs_old(name)][:1]:
            if name.startswith("p"):
                last_restart, last_wave = fleet.now, turn.wave
            fleet.restart(name, loses=chance.random() < bad)
    left = [name for name in fleet.accounts if fleet.runs_old(name)]
    assert [] == left or STOPPED == fleet.look().wave
    assert len(fleet.lost) <= rollout.max_pairings_lost + 1
