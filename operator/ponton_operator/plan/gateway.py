"""The plan of one gateway: from resource and observation to actions.

Pure and level-triggered, as `plan.account`. Called by the gateways operator for each key of its queue. Objects are
compared by the hash that each carries, so that at rest nothing is written. What is wrong with a gateway becomes a
condition with a sentence; the parts that it concerns stay as they are, and whatever runs goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.plan.desk_epochs import stock, write_stock
from ponton_operator.plan.gateway_status import Found, Part, describe
from ponton_operator.plan.manifests_base import HASH, Component, Key, Manifest, key_of
from ponton_operator.plan.manifests_desk import EPOCHS, front_desk
from ponton_operator.plan.manifests_door import Settings
from ponton_operator.plan.manifests_network import BadAddress, open_servers, policies, private_login, shard_servers
from ponton_operator.plan.manifests_portal import portal
from ponton_operator.plan.manifests_prosody import Shared, prosody
from ponton_operator.plan.tally import Counts
from ponton_operator.resources.base import is_paused
from ponton_operator.resources.gateway import BridgeGateway, GatewayStatus

_LOOPBACK: Final = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Material:
    """What the gateway's Secrets hold, all of it there; `desk_url` and `portal_url` are the doors' URLs of Redis.

    `portal_files` are the portal's other secret files, by name.
    """

    shared: Shared
    redis_url: str
    desk_url: str
    portal_url: str
    xmpp_ca: str = ""
    portal_files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """An object of ours that is there: what it belongs to, and the hash it was made with ('' = none)."""

    component: str
    hash: str


@dataclass(frozen=True, slots=True)
class ObservedGateway:
    """What the driver knows of a gateway besides the resource.

    `material` is None when a Secret cannot be used: `missing` says that it or its key is not there, `problems` which.
    `epochs` and `spent` are the front desk's stock and the last epoch of its Lease, `desk_ready` and `portal_ready` the
    doors' pods that are ready, `twin` names an older gateway of the same domain, `shard_image` whether shards have an
    image.
    """

    material: Material | None = None
    missing: bool = False
    problems: tuple[str, ...] = ()
    objects: Mapping[Key, Held] = field(default_factory=dict)
    epochs: tuple[int, ...] = ()
    spent: int = 0
    desk_ready: int = 0
    portal_ready: int = 0
    desk_stream: bool | None = None  # as Prosody sees it; None = not known
    redis: Part = Part.UNKNOWN
    redis_forgets: bool = False
    prosody: Part = Part.UNKNOWN
    counts: Counts = field(default_factory=Counts)
    twin: str = ""
    shard_image: bool = True


@dataclass(frozen=True, slots=True)
class Installation:
    """What is the same for all gateways: how doors run, and the files of Prosody's module by name."""

    doors: Settings
    module: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Apply:
    """Make an object be as it is said here."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove an object of ours that is not wanted any more."""

    key: Key


@dataclass(frozen=True, slots=True)
class WriteGatewayStatus:
    """Write what is ours of the status; `urgent` False (counts) may wait a little for more of its kind."""

    status: GatewayStatus
    urgent: bool


class NeedsHost(StrEnum):
    """Sentences about gateways that cannot serve as they are written."""

    NO_IMAGE = "The operator knows no image for front desk and portal: set PONTON_OPERATOR_IMAGE."
    LOOPBACK = "spec.xmpp.host is an address of the pod itself, where no Prosody runs: name its Service or address."


GatewayAction = Apply | Delete | WriteGatewayStatus


def plan_gateway(
    gateway: BridgeGateway, observed: ObservedGateway, installation: Installation, now: float
) -> list[GatewayAction]:
    """Say what is to be done now, in order; `now` in seconds since 1970."""
    wanted, problems, wide = _wanted(gateway, observed, installation, now)
    paused = is_paused(gateway.metadata)
    status = describe(gateway, _found(observed, problems, wide, paused=paused), now)
    actions: list[GatewayAction] = []
    if status != gateway.status:
        actions.append(WriteGatewayStatus(status, urgent=_urgent(gateway.status, status)))
    if paused or observed.twin or gateway.metadata.deletion_timestamp is not None:
        return actions
    return [*actions, *_changes(wanted, observed.objects)]


Wanted = dict[Component, list[Manifest]]


def _wanted(
    gateway: BridgeGateway, observed: ObservedGateway, installation: Installation, now: float
) -> tuple[Wanted, tuple[str, ...], tuple[str, ...]]:
    """Give what should be there by component, what is wrong, and which servers have no known address.

    A component that cannot be said now is left out: its objects stay.
    """
    material, problems = observed.material, list(observed.problems)
    if material is None:
        return {}, tuple(problems), ()
    wide: tuple[str, ...] = ()
    parts: dict[Component, Callable[[], list[Manifest]]] = {
        Component.NETWORK: lambda: policies(gateway, material.redis_url),
        Component.PROSODY: lambda: prosody(gateway, material.shared, installation.module),
        Component.FRONT_DESK: lambda: _front_desk(gateway, observed, material, installation.doors, now),
        Component.PORTAL: lambda: _portal(gateway, material, installation.doors),
    }
    wanted: Wanted = {}
    for component, make in parts.items():
        try:
            wanted[component] = make()
        except HostError as error:
            if error.sentence not in problems:
                problems.append(error.sentence)
    if gateway.spec.network.policies and Component.NETWORK in wanted:
        wide = open_servers([*shard_servers(gateway, material.redis_url), *private_login(gateway)])
    if gateway.spec.xmpp.host.startswith(_LOOPBACK):
        problems.append(NeedsHost.LOOPBACK)
    return wanted, tuple(problems), wide


def _front_desk(
    gateway: BridgeGateway, observed: ObservedGateway, material: Material, settings: Settings, now: float
) -> list[Manifest]:
    if not gateway.spec.selfservice.front_desk:
        return []
    if not settings.image:
        raise BadAddress(NeedsHost.NO_IMAGE)
    told = {"redis-url": material.desk_url}
    if material.shared.front_desk:
        told["component-secret"] = material.shared.front_desk
    else:
        epochs = stock(observed.epochs, observed.spent, now)
        told[EPOCHS] = write_stock(material.shared.master, gateway.spec.domain, epochs)
    if material.xmpp_ca:
        told["xmpp-ca.pem"] = material.xmpp_ca
    return front_desk(gateway, settings, told)


def _portal(gateway: BridgeGateway, material: Material, settings: Settings) -> list[Manifest]:
    if gateway.spec.selfservice.portal and not settings.image:
        raise BadAddress(NeedsHost.NO_IMAGE)
    return portal(gateway, settings, {"redis-url": material.portal_url, **material.portal_files})


def _changes(wanted: Wanted, objects: Mapping[Key, Held]) -> list[GatewayAction]:
    made = [manifest for manifests in wanted.values() for manifest in manifests]
    keys = {key_of(manifest) for manifest in made}
    changed = [
        Apply(manifest) for manifest in made if _hash(objects, manifest) != manifest["metadata"]["annotations"][HASH]
    ]
    extra = [key for key, held in objects.items() if held.component in wanted and key not in keys]
    return [*changed, *(Delete(key) for key in sorted(extra))]


def _hash(objects: Mapping[Key, Held], manifest: Manifest) -> str:
    held = objects.get(key_of(manifest))
    return held.hash if held else ""


def _found(observed: ObservedGateway, problems: Sequence[str], wide: Sequence[str], *, paused: bool) -> Found:
    desk = any(
        key.kind == "Deployment" and held.component == Component.FRONT_DESK for key, held in observed.objects.items()
    )
    return Found(
        problems=tuple(problems),
        missing=observed.missing,
        twin=bool(observed.twin),
        shard_image=observed.shard_image,
        redis=observed.redis,
        redis_forgets=observed.redis_forgets,
        prosody=observed.prosody,
        desk=observed.desk_ready > 0 and observed.desk_stream is not False,
        desk_made=desk,
        portal=observed.portal_ready > 0,
        wide=tuple(wide),
        counts=observed.counts,
        paused=paused,
    )


def _urgent(before: GatewayStatus, after: GatewayStatus) -> bool:
    return (before.conditions, before.problems) != (after.conditions, after.problems)
