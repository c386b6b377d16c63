"""How a gateway's shards run over time: start limits, resource tiers, parking, rollouts. Parts of BridgeGateway.

Read by `plan.fleet` and `plan.rollout` (starts, restarts) and `plan.scaling` (tiers, parking). Durations are whole
seconds, minutes or hours, as the field's name says.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from ponton_operator.resources.base import Cpu, Flag, K8s, Memory, Name, Whole
from ponton_operator.resources.rules import ASCENDING_TO_ALL, MEMORY_FITS, NAMES_UNIQUE


class Tier(K8s):
    """One size of a shard's container. Shards begin in the first tier and move by what they use."""

    RULES: ClassVar = (MEMORY_FITS,)

    name: Name
    """The name, unique in the list."""
    cpu_request: Cpu = "20m"
    """Processor time that is set aside."""
    memory_request: Memory = "96Mi"
    """Memory that is set aside."""
    memory_limit: Memory = "256Mi"
    """Memory at which the container is ended."""


_BY_NAME = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


class Parking(K8s):
    """After how long the scaler parks an account that has a shard but no use for it; 0 = never.

    What ends by itself (codes used up, logged out, banned) is parked at once; this is for the rest.
    """

    never_paired_minutes: Annotated[Whole, Field(ge=0, le=525600)] = 60
    """An account that was never linked."""
    unreachable_hours: Annotated[Whole, Field(ge=0, le=8760)] = 168
    """A linked account that does not reach WhatsApp."""
    crashing_hours: Annotated[Whole, Field(ge=0, le=8760)] = 24
    """An account whose shard ends unexpectedly again and again."""


class Scaling(K8s):
    """How fast shards may start and log in, over all accounts, and how large they are.

    A node's loss must not become a storm at WhatsApp: starts are what causes logins, and they leave by few addresses.
    """

    starts_per_second: Annotated[Whole, Field(ge=1, le=100)] = 5
    """Starts of shards, on average."""
    starts_burst: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """Starts at once after a quiet time."""
    logins_per_second: Annotated[Whole, Field(ge=1, le=100)] = 5
    """Logins at WhatsApp by egress address: the limit grows with the addresses that are there."""
    egress_addresses: Annotated[Whole, Field(ge=1, le=1000)] = 1
    """Addresses by which shards leave (nodes or proxies)."""
    tiers: Annotated[tuple[Tier, ...], Field(max_length=8, json_schema_extra=_BY_NAME), NAMES_UNIQUE] = ()
    """Sizes of shards, the smallest first; without any, shard.resources is the only size."""
    parking: Parking = Parking()


class Rollout(K8s):
    """How a changed template reaches running shards: canaries first, then wave by wave, or not at all while paused.

    It stops by itself when more than maxPairingsLost of the restarted accounts are no longer paired.
    """

    paused: Flag = False
    """Hold back: running shards keep what they run; new starts get the new template."""
    restarts_per_minute: Annotated[Whole, Field(ge=1, le=6000)] = 60
    """Shards that are restarted in a minute."""
    canary_percent: Annotated[Whole, Field(ge=0, le=100)] = 1
    """Share of the accounts that goes first; 0 for no canaries."""
    wave_percents: Annotated[
        tuple[Annotated[Whole, Field(ge=1, le=100)], ...],
        Field(max_length=10),
        ASCENDING_TO_ALL,
    ] = (5, 25, 100)
    """Share of the accounts that has the new template after each wave."""
    pause_seconds: Annotated[Whole, Field(ge=0, le=86400)] = 60
    """Time after each wave, so that trouble can show itself."""
    max_pairings_lost: Annotated[Whole, Field(ge=0, le=10000)] = 0
    """Restarted accounts that may lose their link before the rollout stops by itself."""
