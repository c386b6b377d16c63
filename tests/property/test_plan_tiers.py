"""A shard's memory walks anywhere: its tier follows, and never flaps."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_operator.plan.scaling import SWEEP, plan_scaling
from ponton_operator.plan.tiers import DOWN_AFTER, FIT, REST, UP, UP_BEATS, Size, Use, size_of
from ponton_operator.resources.running import Parking
from tests.unit.fleet_kit import MIB, NOW, beat, served, wished

SIZES = (Size("a", 128 * MIB), Size("b", 256 * MIB), Size("c", 512 * MIB), Size("d", 1024 * MIB))

# For so many sweeps, so many MiB; long ones so that hours pass.
WALK = st.lists(st.tuples(st.sampled_from([1, 2, 5, 70, 800, 1500]), st.integers(10, 1100)), min_size=1, max_size=8)


@settings(deadline=None)
@given(WALK)
def test_tiers_follow_memory_without_flapping(walk: list[tuple[int, int]]) -> None:
    """No two moves within ten minutes, none down within four hours of another; up only when above the mark, to a fit.

    And what stays above the mark for long enough is moved up, if there is a larger tier.
    """
    account, use, now = served(), Use(), NOW
    moves: list[float] = []
    high = 0
    for sweeps, mib in walk:
        for _ in range(sweeps):
            now += SWEEP
            before = size_of(SIZES, account.status.scaling.tier if account.status.scaling else "")
            decision = plan_scaling(account, SIZES, Parking(), beat(mib, now), use, None, now)
            use = decision.use
            high = high + 1 if mib * MIB > before.limit * UP else 0
            if decision.status is None:
                rested = not moves or now - moves[-1] >= REST
                assert high < UP_BEATS or not rested or before is SIZES[-1]
                continue
            after = size_of(SIZES, decision.status.tier)
            account = wished(account, decision.status)
            assert after is not before
            assert not moves or now - moves[-1] >= REST
            if after.limit > before.limit:
                assert high >= UP_BEATS
                assert mib * MIB <= after.limit * FIT or after is SIZES[-1]
            else:
                assert now - max([NOW, *moves]) >= DOWN_AFTER
                assert mib * MIB <= after.limit * FIT
            moves.append(now)
            high = 0
    assert len(moves) <= 1 + (now - NOW) / REST
