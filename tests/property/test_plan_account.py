"""The plan of an account under random events, crashes and stale views: its invariants hold, and it converges."""

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ponton_bridge.model.states import Reason
from ponton_operator.plan.ends import PARKS
from ponton_operator.plan.values import Again, AskPermit, Process, Start, Step, WriteStatus
from ponton_operator.resources.account import BridgeAccount, Desired, ScalingStatus
from ponton_operator.resources.base import PAUSED, Truth
from ponton_operator.resources.conditions import Own, Type, phase_of
from tests.property.plan_world import World

SELDOM = st.sampled_from([True, *[False] * 7])  # what would make the rest of a walk dull
REASONS = st.sampled_from(sorted(Reason))
CODES = st.sampled_from([0, 1, 75, 78, -9, -15, 139, None])
ROUNDS = 400  # more than enough: each round lets time pass, everybody answer, and plans once


def truth(account: BridgeAccount, kind: Type) -> Truth | None:
    """Give the status of one condition, None if it is not listed."""
    return next((c.status for c in account.status.conditions if c.type == kind), None)


class AccountMachine(RuleBasedStateMachine):
    """Random walks; the asserts on starts are in the world's driver."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    # ---- what people do ------------------------------------------------------------------------------------

    @rule(desired=st.sampled_from(Desired))
    def want(self, desired: Desired) -> None:
        """Somebody wants it otherwise."""
        self.world.edit(desired=desired)

    @rule()
    def wake(self) -> None:
        """A door asks for a new start."""
        self.world.edit(wake=self.world.account.spec.wake + 1)

    @rule(appears=SELDOM)
    def change_twin(self, appears: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        """An older resource of the same owner appears, or goes."""
        self.world.twin = "acc-older" if appears else ""

    @rule(on=SELDOM)
    def brake(self, on: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        """The host takes the operator's hands off, or not."""
        self.world.mark(annotations={PAUSED: "true"} if on else {})

    @rule(revision=st.sampled_from(["r1", "r2"]))
    def update(self, revision: str) -> None:
        """The host changes the template."""
        self.world.revision = revision

    @rule(now=SELDOM)
    def delete(self, now: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        """The account is to go."""
        if now:
            self.world.delete()

    @rule(appears=SELDOM)
    def gateway_cannot_be_used(self, appears: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        """No shard can be started for a while."""
        self.world.obstacle = Own.GATEWAY_NOT_READY if appears else ""

    @rule(parks=SELDOM)
    def scaler_decides(self, parks: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        """The scaler parks the account, or has nothing against it; only its own part of the status changes."""
        account = self.world.account
        park = Own.NEVER_PAIRED if parks else ""
        scaling = ScalingStatus(tier="small", park=park, park_wake=account.spec.wake)
        status = account.status.model_copy(update={"scaling": scaling})
        self.world.accounts.append(account.model_copy(update={"status": status}))

    # ---- what happens --------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.001, 0.5, 1.0, 5.0, 61.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        """Time goes on."""
        self.world.now += seconds

    @precondition(lambda self: bool(self.world.alive()))
    @rule(code=CODES)
    def process_ends(self, code: int | None) -> None:
        """The process ends, somehow."""
        self.world.end(code)

    @precondition(lambda self: bool(self.world.alive()))
    @rule()
    def process_vanishes(self) -> None:
        """The process is gone without a trace."""
        self.world.vanish()

    @precondition(lambda self: bool(self.world.alive()))
    @rule(reason=REASONS, xmpp=st.integers(0, 1), paired=st.integers(0, 1))
    def shard_tells(self, reason: Reason, xmpp: int, paired: int) -> None:
        """The shard publishes a state."""
        self.world.tell(reason, xmpp=xmpp, paired=paired)

    @precondition(lambda self: bool(self.world.alive()))
    @rule(reason=st.sampled_from(sorted(PARKS)))
    def shard_ends_for_good(self, reason: Reason) -> None:
        """The shard says why, and ends with 0."""
        self.world.tell(reason)
        self.world.end(0)

    @rule()
    def node_is_lost(self) -> None:
        """The node does not answer; the process runs on. One that has ended before keeps its exit code."""
        self.world.show(*(replace(p, lost=not p.ended) for p in self.world.views[-1]))

    @rule(trouble=st.sampled_from([Own.UNSCHEDULABLE, Own.IMAGE_UNAVAILABLE, Own.CRASH_LOOP, ""]))
    def process_is_stuck(self, trouble: str) -> None:
        """The process does not get on, or does again."""
        self.world.show(*(replace(p, trouble=trouble) if not p.ended else p for p in self.world.views[-1]))

    @rule(ok=st.booleans())
    def step_is_done(self, ok: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        """A step of the deletion works, or does not."""
        self.world.answer(ok=ok)

    # ---- what the operator does ----------------------------------------------------------------------------

    @rule()
    def operator_restarts(self) -> None:
        """The operator forgets what it only had in memory, and lists everything anew."""
        self.world.permit, self.world.outcome, self.world.asked_clean = False, None, None
        self.world.catch_up()

    @rule()
    def operator_dies_after_its_write(self) -> None:
        """The operator is killed between writing the status and doing what follows from it."""
        if not self.world.gone:
            self.world.reconcile(dies=True)
        self.operator_restarts()

    @rule(accounts=st.integers(0, 3), views=st.integers(0, 3))
    def watch_moves(self, accounts: int, views: int) -> None:
        """The views get newer by some steps, each at its own pace."""
        world = self.world
        world.seen_account = min(world.seen_account + accounts, len(world.accounts) - 1)
        world.seen_view = min(world.seen_view + views, len(world.views) - 1)

    @rule(lags=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6))
    def works(self, lags: list[tuple[int, int]]) -> None:
        """The operator plans and acts on views that move at their own pace; the fleet lets it go on when it asks."""
        for accounts, views in lags:
            self.watch_moves(accounts, views)
            if not self.world.gone:
                self.world.reconcile()
            self.world.permit = self.world.permit or self.world.asked

    @rule(code=CODES, times=st.integers(1, 5))
    def crashes_in_a_row(self, code: int | None, times: int) -> None:
        """Each time it runs again, it ends again."""
        for _ in range(times):
            self.world.end(code)
            self.works([(3, 3), (3, 3), (3, 3)])

    # ---- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def one_process_at_most(self) -> None:
        """Never two processes of one account."""
        assert len(self.world.alive()) <= 1

    @invariant()
    def epochs_grow(self) -> None:
        """No epoch twice, none smaller, and the status names the last."""
        assert sorted(set(self.world.epochs)) == self.world.epochs
        assert self.world.account.status.epoch >= (self.world.epochs or [0])[-1]

    @invariant()
    def ends_are_true(self) -> None:
        """An end is recorded only of a process that has ended."""
        shard = self.world.account.status.shard
        life = self.world.lives.get(shard.epoch) if shard and shard.ended else None
        assert life is None or life.ended is not None

    @invariant()
    def conditions_are_sound(self) -> None:
        """One condition a type; Ready only with a process and both connections."""
        conditions = self.world.account.status.conditions
        assert len({c.type for c in conditions}) == len(conditions)
        if truth(self.world.account, Type.READY) is Truth.TRUE:
            for kind in (Type.POD_SCHEDULED, Type.XMPP_CONNECTED, Type.WHATSAPP_CONNECTED):
                assert Truth.TRUE == truth(self.world.account, kind)

    def teardown(self) -> None:
        """When faults stop, the account gets to what is wanted of it, and then rests."""
        world = self.world
        world.mark(annotations={})
        world.outcome, world.obstacle = None, ""
        world.show(*(Process(p.epoch, told=p.told, ended=p.ended, exit_code=p.exit_code) for p in world.views[-1]))
        quiet = 0
        for _ in range(ROUNDS):
            if world.gone or quiet > 3:
                break
            world.now += 7.0
            world.catch_up()
            actions = world.reconcile()
            moving = any(isinstance(a, (Start, WriteStatus, AskPermit, Again)) for a in actions)
            quiet = 0 if moving else quiet + 1
            world.permit = world.permit or world.asked
            world.answer(ok=True)
            if any(life.told for life in world.lives.values() if life.ended is None):
                world.end(0)
            elif world.alive() and (world.state is None or world.state.epoch != world.epochs[-1]):
                world.tell(Reason.CONNECTED, paired=1)
        self._check_end()

    def _check_end(self) -> None:
        world, account = self.world, self.world.account
        if account.metadata.deletion_timestamp is not None:
            assert world.gone
            assert [] == world.alive()
            assert {Step.REDIS, Step.STORE, Step.SECRET} <= world.cleaned or world.problems
            return
        scaling = account.status.scaling
        idle = scaling is not None and bool(scaling.park) and scaling.park_wake == account.spec.wake
        idle = idle and not account.status.paired  # who has linked meanwhile is no longer one that never did
        if world.twin or account.spec.desired is not Desired.RUNNING or account.status.parking or idle:
            assert [] == world.alive()
            assert phase_of(account.status.reason) == account.status.phase
            return
        assert world.epochs[-1:] == world.alive()
        if world.state and world.state.reason == Reason.CONNECTED and world.state.xmpp:
            assert Truth.TRUE == truth(account, Type.READY)
        assert Truth.TRUE == truth(account, Type.UP_TO_DATE) or world.state.reason == Reason.WAITING_FOR_SCAN  # type: ignore[union-attr]  # a shard runs and has told


AccountMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAccountPlan = AccountMachine.TestCase
