"""The gateways operator: `ponton operator gateways`. Watches gateways, accounts (to count them) and its Deployments.

Everything goes into a queue of gateways; `reconcile` looks, plans, acts. Looks are costly (a list of each kind, Redis,
Prosody) and good for a while, so that ten thousand accounts that change make counts, not looks.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import kopf
from pydantic import ValidationError

from ponton_operator.cluster.events import Event, OperatorEvent
from ponton_operator.cluster.gateway_act import Hands
from ponton_operator.cluster.gateway_look import Looker
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_kinds import ACCOUNTS, GATEWAYS, Obj
from ponton_operator.cluster.kube_notices import Notices
from ponton_operator.cluster.prosody_module import module_files
from ponton_operator.cluster.queue import KeyedQueue
from ponton_operator.operators.guard import Context
from ponton_operator.plan.gateway import (
    Apply,
    Delete,
    GatewayAction,
    Installation,
    ObservedGateway,
    WriteGatewayStatus,
    plan_gateway,
)
from ponton_operator.plan.manifests_base import GATEWAY, MANAGED_BY, MANAGER, key_of
from ponton_operator.plan.manifests_door import Settings
from ponton_operator.plan.tally import Entry, Tally
from ponton_operator.resources.base import API_VERSION, Truth
from ponton_operator.resources.conditions_gateway import GatewayType, notable
from ponton_operator.resources.gateway import KIND, BridgeGateway

LOOK: Final = 30.0  # seconds that a look is good for
SOON: Final = 2.0  # seconds until the next one while something is on its way
ON_ITS_WAY: Final = 60.0  # seconds after a change in which that is so
COALESCE: Final = 5.0  # seconds between two writes of counts
SWEEP: Final = 600.0  # seconds between looks for accounts whose end no watch told
_SWEEP_KEY: Final = ""  # in the queue, where gateways are namespace/name


@dataclass(slots=True)
class Known:
    """One gateway: its age and domain for finding twins, and what was seen and done of it."""

    looker: Looker
    hands: Hands
    domain: str = ""
    age: tuple[str, str] = ("", "")  # the time as the API writes it, which sorts, and the key
    version: tuple[Any, ...] = ()  # of what a look rests on: statuses that we write change nothing of it
    look: ObservedGateway | None = None
    looked: float = 0.0
    changed: float = 0.0
    wrote: float = 0.0
    told: frozenset[str] | None = None  # what of its conditions is known to the host; None until they were seen

    def stale(self, now: float) -> None:
        """What was seen does not hold any more."""
        self.look, self.changed = None, now


class Gateways:
    """All gateways that the operator sees."""

    def __init__(
        self, context: Context, installation: Installation, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._installation, self._clock = context, installation, clock
        self._api, self._log = context.api, context.log
        self._notices = Notices(self._api)
        self._tally = Tally()
        self._known: dict[str, Known] = {}
        self._begun = False
        self.queue = KeyedQueue(self._work)

    # ---- what the guard calls --------------------------------------------------------------------------------

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Register the handlers."""
        group, _, version = API_VERSION.partition("/")
        kopf.on.startup(registry=registry)(_narrow)
        kopf.on.event(group, version, GATEWAYS.plural, registry=registry)(self._gateway)
        kopf.on.event(group, version, ACCOUNTS.plural, registry=registry)(self._account)
        kopf.on.event("apps", "v1", "deployments", registry=registry)(self._deployment)

    async def start(self) -> None:
        """Take in all gateways, so that no twin is overlooked, and all accounts, so that none is counted too few."""
        await self._context.reach.begin(self)
        self._begun = True
        self._log(OperatorEvent.LISTED, gateways=len(self._known))
        self.queue.add_after(_SWEEP_KEY, SWEEP)

    async def take(self, namespace: str) -> None:
        """Take in the gateways and accounts of a namespace. Raises KubeError."""
        keys = [self._take(item) for item in await self._api.list(GATEWAYS, namespace)]
        async for page in self._api.pages(ACCOUNTS, namespace):
            for item in page:
                self._tally.put(_key(item), _entry(item))
        for key in keys if self._begun else ():  # at the start kopf names each of them
            self.queue.add_after(key, 0.0)  # when we are through, and the namespace counts as served

    async def left_out(self, namespace: str) -> None:
        """Look at no gateway of a namespace any more; its accounts stay counted: kopf goes on from where it was."""
        for key in [key for key in self._known if _place(key) == namespace]:
            await self._forget(key)

    async def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        await self.queue.close()
        for known in self._known.values():
            await known.looker.close()

    # ---- handlers --------------------------------------------------------------------------------------------

    async def _gateway(self, event: Mapping[str, Any], **_: object) -> None:
        if self._context.reach.serves(_place(_key(event["object"]))):
            self.queue.add(self._take(event["object"]))

    async def _account(self, event: Mapping[str, Any], **_: object) -> None:
        item = event["object"]
        name = _key(item)
        gone = event.get("type") == "DELETED"
        touched = self._tally.drop(name) if gone else self._tally.put(name, _entry(item))
        for key in touched & self._known.keys():
            self.queue.add_after(key, self._quiet(key))

    async def _deployment(self, event: Mapping[str, Any], **_: object) -> None:
        metadata = event["object"]["metadata"]
        key = f"{metadata['namespace']}/{(metadata.get('labels') or {}).get(GATEWAY, '')}"
        if known := self._known.get(key):
            known.stale(self._clock())
            self.queue.add(key)

    # ---- the queue -------------------------------------------------------------------------------------------

    async def _work(self, key: str) -> None:
        began, result = self._clock(), "ok"
        try:
            await (self._sweep() if key == _SWEEP_KEY else self._reconcile(key))
        except KubeError as error:
            result = type(error).__name__
            self._log.failure(OperatorEvent.LOOK_FAILED, error, "warning")
            self.queue.add_after(key, SOON)
        except Exception as error:  # noqa: BLE001  # one gateway's trouble is not the others'
            result = type(error).__name__
            self._log.failure(Event.PLAN_FAILED, error)
            self.queue.add_after(key, LOOK)
        self._context.metrics.plan("gateway", result, self._clock() - began)

    async def _reconcile(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        item = None
        if self._context.reach.serves(namespace):
            with self._context.reach.minding(namespace):
                item = await self._api.find(GATEWAYS, namespace, name)
        if item is None:
            await self._forget(key, gone=self._context.reach.serves(namespace))
            return
        self._take(item)
        gateway = self._model(item)
        if gateway is None:
            return
        known, now = self._known[key], self._clock()
        await self._tell(known, gateway)
        look = known.look
        if look is None or now - known.looked >= LOOK:
            known.look = look = await known.looker.look(gateway, now)
            known.looked = now
        observed = self._observed(key, known, look, gateway)
        wanted = gateway.spec.selfservice.portal is not None
        self._context.metrics.state("portal away", key, wanted and not look.portal_ready)
        actions = plan_gateway(gateway, observed, self._installation, time.time())
        known.hands.remember({key_of(action.manifest) for action in actions if isinstance(action, Apply)})
        for action in actions:
            await self._act(known, gateway, observed, action)
        on_its_way = not _serves(gateway) and self._clock() - known.changed < ON_ITS_WAY
        if on_its_way:
            known.look = None
        self.queue.add_after(key, SOON if on_its_way else LOOK)

    async def _tell(self, known: Known, gateway: BridgeGateway) -> None:
        """Make events of what has come since; an operator that starts finds it told."""
        now = notable(gateway.status.conditions)
        for reason in sorted(now.keys() - known.told) if known.told is not None else ():
            await self._notices.tell(gateway, reason, now[reason])
        known.told = frozenset(now)

    def _observed(self, key: str, known: Known, look: ObservedGateway, gateway: BridgeGateway) -> ObservedGateway:
        return replace(
            look,
            problems=(*look.problems, *known.hands.refused.values()),
            counts=self._tally.counts(key),
            twin=self._twin(key, known),
            shard_image=bool(gateway.spec.shard.image or self._context.settings.image),
        )

    async def _act(
        self, known: Known, gateway: BridgeGateway, observed: ObservedGateway, action: GatewayAction
    ) -> None:
        key = f"{gateway.metadata.namespace}/{gateway.metadata.name}"
        match action:
            case WriteGatewayStatus(urgent=urgent):
                if not urgent and (wait := self._quiet(key)) > 0:
                    self.queue.add_after(key, wait)
                    return
                known.wrote = self._clock()
                if not await known.hands.write(gateway, action):
                    self.queue.add(key)
            case Apply(manifest):
                if await known.hands.apply(gateway, action, new=key_of(manifest) not in observed.objects):
                    known.stale(self._clock())
            case Delete():
                await known.hands.delete(gateway, action)
                known.stale(self._clock())

    async def _forget(self, key: str, *, gone: bool = False) -> None:
        known = self._known.pop(key, None)
        self.queue.forget(key)
        if known is None:
            return
        self._context.metrics.state("portal away", key, 0)
        await (known.looker.leave() if gone else known.looker.close())
        for other, its in self._known.items():
            if its.domain == known.domain:
                self.queue.add(other)

    async def _sweep(self) -> None:
        """Drop accounts that are gone although no watch told."""
        there: set[str] = set()
        before = self._tally.names
        for namespace in self._context.reach.served():
            with self._context.reach.minding(namespace):
                async for page in self._api.pages(ACCOUNTS, namespace, names_only=True):
                    there.update(_key(item) for item in page)
        gone = {name for name in before - there if self._context.reach.serves(_place(name))}
        for key in {key for name in gone for key in self._tally.drop(name)} & self._known.keys():
            self.queue.add(key)
        if gone:
            self._log(OperatorEvent.SWEPT, accounts=len(gone))
        self.queue.add_after(_SWEEP_KEY, SWEEP)

    # ---- what is known ---------------------------------------------------------------------------------------

    def _take(self, item: Obj) -> str:
        """Note a gateway as it is now; gives its key."""
        key, metadata = _key(item), item["metadata"]
        known = self._known.setdefault(key, Known(Looker(self._api), Hands(self._api, self._log)))
        known.domain = str((item.get("spec") or {}).get("domain") or "")
        known.age = (str(metadata.get("creationTimestamp") or ""), key)
        version = tuple(metadata.get(part) for part in ("uid", "generation", "annotations", "deletionTimestamp"))
        if version != known.version:
            known.version = version
            known.stale(self._clock())
        return key

    def _twin(self, key: str, known: Known) -> str:
        """Name the oldest other gateway that serves the domain, if it is older."""
        older = [(its.age, other) for other, its in self._known.items() if its.domain == known.domain and other != key]
        return min(older)[1] if older and min(older)[0] < known.age else ""

    def _quiet(self, key: str) -> float:
        """Give the seconds until counts may be written again."""
        known = self._known.get(key)
        return max(0.0, known.wrote + COALESCE - self._clock()) if known and known.wrote else 0.0

    def _model(self, item: Obj) -> BridgeGateway | None:
        try:
            return BridgeGateway.model_validate({"apiVersion": API_VERSION, "kind": KIND} | item)
        except ValidationError:
            self._log(OperatorEvent.GATEWAY_REFUSED, "error", gateway=item["metadata"]["name"])
            return None


def make(context: Context) -> Gateways:
    """Make the operator, as `programs.operator` does. Raises HostError."""
    return Gateways(context, read_installation(os.environ))


def read_installation(environment: Mapping[str, str]) -> Installation:
    """Read what the installation says about doors (docs/operators.md). Raises HostError."""
    doors = Settings(
        image=environment.get("PONTON_OPERATOR_IMAGE", ""),
        role=environment.get("PONTON_FRONTDESK_ROLE") or "ponton-frontdesk",
        pull_policy=environment.get("PONTON_IMAGE_PULL_POLICY") or "IfNotPresent",
        priority_class=environment.get("PONTON_FRONTDESK_PRIORITY_CLASS", ""),
    )
    return Installation(doors, module_files())


def _narrow(settings: kopf.OperatorSettings, **_: object) -> None:
    """Watch our Deployments only, not those of the whole cluster."""
    settings.watching.label_selectors["apps/deployments"] = f"{MANAGED_BY}={MANAGER}"


def _serves(gateway: BridgeGateway) -> bool:
    return any(c.type == GatewayType.READY and c.status is Truth.TRUE for c in gateway.status.conditions)


def _place(key: str) -> str:
    """Give the namespace of a key."""
    return key.partition("/")[0]


def _key(item: Mapping[str, Any]) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _entry(item: Obj) -> Entry:
    """Give what counts of an account; its gateway is in the same namespace."""
    status = item.get("status") or {}
    gateway = ((item.get("spec") or {}).get("gatewayRef") or {}).get("name", "")
    return Entry(
        f"{item['metadata']['namespace']}/{gateway}",
        str(status.get("phase") or ""),
        paired=status.get("paired") is True,
    )
