"""How a gateway's shards run over time: start limits, resource tiers, parking, rollouts. Parts of BridgeGateway.

Read by `plan.fleet` and `plan.rollout` (starts, restarts) and `plan.scaling` (tiers, parking). Durations are whole
seconds, minutes or hours, as the field's name says.
"""

from typing import Annotated

from pydantic import Field

from ponton_operator.resources.base import K8s, Name, Quantity


class Tier(K8s):
    """One size of a shard's container. Shards begin in the first tier and move by what they use."""

    name: Name
    cpu_request: Quantity = "20m"
    memory_request: Quantity = "96Mi"
    memory_limit: Quantity = "256Mi"


_TIERS_UNIQUE = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


class Parking(K8s):
    """After how long the scaler parks an account that has a shard but no use for it; 0 = never.

    What ends by itself (codes used up, logged out, banned) is parked at once; this is for the rest.
    """

    never_paired_minutes: Annotated[int, Field(ge=0, le=525600)] = 60
    unreachable_hours: Annotated[int, Field(ge=0, le=8760)] = 168
    crashing_hours: Annotated[int, Field(ge=0, le=8760)] = 24


class Scaling(K8s):
    """How fast shards may start and log in, over all accounts, and how large they are.

    A node's loss must not become a storm at WhatsApp: starts are what causes logins, and they leave by few addresses.
    """

    starts_per_second: Annotated[int, Field(ge=1, le=100)] = 5
    starts_burst: Annotated[int, Field(ge=1, le=1000)] = 10
    # Logins at WhatsApp, by egress address (nodes or proxies): the limit grows with the addresses that are there.
    logins_per_second: Annotated[int, Field(ge=1, le=100)] = 5
    egress_addresses: Annotated[int, Field(ge=1, le=1000)] = 1
    tiers: Annotated[tuple[Tier, ...], Field(max_length=8, json_schema_extra=_TIERS_UNIQUE)] = ()
    parking: Parking = Parking()


class Rollout(K8s):
    """How a changed template reaches running shards: canaries first, then wave by wave, or not at all while paused.

    It stops by itself when more than `max_pairings_lost` of the restarted accounts are no longer paired.
    """

    paused: bool = False
    restarts_per_minute: Annotated[int, Field(ge=1, le=6000)] = 60
    canary_percent: Annotated[int, Field(ge=0, le=100)] = 1
    wave_percents: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(max_length=10)] = (5, 25, 100)
    pause_seconds: Annotated[int, Field(ge=0, le=86400)] = 60  # after each wave, so that trouble can show itself
    max_pairings_lost: Annotated[int, Field(ge=0, le=10000)] = 0
