"""One look of the scaler at a portal: what it reads, what it writes, and when it leaves all as it is."""

from typing import Any

from ponton_operator.cluster.kube_errors import Unavailable
from ponton_operator.cluster.kube_fleet import Fleet
from ponton_operator.cluster.kube_kinds import GATEWAYS
from ponton_operator.cluster.kube_pages import Portals
from ponton_operator.plan.portal_scaling import FULL
from ponton_operator.plan.scaling import SWEEP
from ponton_operator.resources.base import PAUSED
from tests.unit.scaler_bed import PLACE, Bed

KEY = (PLACE, "wa")
PAGE: dict[str, Any] = {"portal": {"url": "https://example.org"}}


class World:
    """A gateway, and the scaler's eye on its portal."""

    def __init__(self, **spec: Any) -> None:  # noqa: ANN401  # any field
        self.bed = Bed.of(**({"selfservice": PAGE} | spec))
        self.fleet = Fleet(self.bed.log)
        context = self.bed.context()
        self.metrics = context.metrics
        self.portals = Portals(
            self.bed.api, self.fleet, self.bed.make_beats(), context.metrics, context.log, self.bed.clock
        )

    async def look(self, **pages: int) -> None:
        """Look once; `pages` is what replicas say from now on."""
        if not self.fleet.gateways:
            await self.fleet.load(self.bed.api, PLACE)
        if pages and not self.bed.doors:
            await self.portals.look(KEY)  # opens the way to Redis
        for door in self.bed.doors:
            door.open = pages or door.open
        self.bed.now += SWEEP
        await self.portals.look(KEY)

    @property
    def said(self) -> object:
        """How many replicas the scaler has said, None while it said nothing."""
        status = self.bed.api.objects[GATEWAYS, PLACE, "wa"].get("status") or {}
        return (status.get("portal") or {}).get("replicas")

    def figure(self, what: str) -> str:
        """Give a figure as Prometheus reads it."""
        (line,) = [line for line in self.metrics.text().decode().splitlines() if f'what="{what}"' in line]
        return line.rpartition(" ")[2]


async def test_many_pages_bring_replicas() -> None:
    """All replicas count together; it is written once, with nothing else, and told in the log and the metrics."""
    here = World()
    await here.look(one=FULL, two=FULL + 1)
    assert 4 == here.said
    ((where, _, body),) = here.bed.api.writes
    assert ("bridgegateways/wa/status", ["status"], ["portal"]) == (where, [*body], [*body["status"]])
    assert str(float(2 * FULL + 1)) == here.figure("open pages")
    await here.look()
    assert 1 == len(here.bed.api.writes)
    assert '"portal_scaled"' in here.bed.out.getvalue()


async def test_what_was_not_written_is_decided_again() -> None:
    """The API server is away for a look."""
    here = World()
    await here.look()
    here.bed.api.fails = Unavailable("Unavailable")
    await here.look(one=3 * FULL)
    assert None is here.said
    here.bed.api.fails = None
    await here.look()
    assert 5 == here.said


async def test_while_redis_is_away_nothing_is_written() -> None:
    """Nobody knows how many pages there are."""
    here = World()
    await here.look(one=3 * FULL)
    assert 5 == here.said
    for door in here.bed.doors:
        door.open = None
    for _ in range(200):
        await here.look()
    assert (5, 1) == (here.said, len(here.bed.api.writes))


async def test_without_a_portal_redis_is_not_asked() -> None:
    """Most gateways of a small host have none."""
    here = World(selfservice={})
    await here.look()
    assert ([], None) == (here.bed.doors, here.said)


async def test_a_gateway_with_the_brake_on_is_left_alone() -> None:
    """The annotation keeps the scaler's hands off."""
    here = World()
    here.bed.api.objects[GATEWAYS, PLACE, "wa"]["metadata"]["annotations"] = {PAUSED: "true"}
    await here.look(one=9 * FULL)
    assert (None, []) == (here.said, here.bed.api.writes)
