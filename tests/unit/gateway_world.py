"""Gateways as the plans of the cluster see them, and a cluster that does what they ask for. For several tests."""

from dataclasses import replace
from typing import Any

from ponton_operator.plan.desk_epochs import read_stock
from ponton_operator.plan.gateway import (
    Apply,
    Delete,
    GatewayAction,
    Held,
    Installation,
    Material,
    ObservedGateway,
    WriteGatewayStatus,
    plan_gateway,
)
from ponton_operator.plan.gateway_status import Part
from ponton_operator.plan.manifests_base import COMPONENT, HASH, Key, Manifest, decoded, key_of
from ponton_operator.plan.manifests_desk import EPOCHS
from ponton_operator.plan.manifests_door import Settings
from ponton_operator.plan.manifests_prosody import Shared
from ponton_operator.resources.gateway import BridgeGateway

NOW = 1_800_000_000.0
MASTER = "m" * 32
SPEC: dict[str, Any] = {
    "domain": "wa.example.org",
    "xmpp": {"host": "192.0.2.10"},
    "prosody": {"url": "http://192.0.2.10:5280/shards", "tokenRef": {"name": "prosody", "key": "token"}},
    "redis": {"urlRef": {"name": "redis", "key": "url"}},
    "secrets": {"masterRef": {"name": "prosody", "key": "master"}},
}
INSTALLATION = Installation(Settings(image="ponton-operator:1"), {"mod_component_shards.lua": "return 1\n"})
MATERIAL = Material(
    Shared(MASTER, "t" * 16),
    "redis://admin:word@192.0.2.20:6380/0",
    "redis://desk:pw@192.0.2.20:6380/0",
    "redis://portal:pw@192.0.2.20:6380/0",
)


def gateway(metadata: dict[str, Any] | None = None, **spec: Any) -> BridgeGateway:  # noqa: ANN401  # as in YAML
    """Make a gateway; `spec` replaces whole parts of the usual one."""
    head = {"name": "wa", "namespace": "bridges", "uid": "u-1", "generation": 1}
    return BridgeGateway.model_validate({"metadata": head | (metadata or {}), "spec": SPEC | spec})


def observed(**fields: Any) -> ObservedGateway:  # noqa: ANN401  # any of the fields
    """Make an observation of a gateway whose servers are all there, and of which nothing was made yet."""
    return replace(ObservedGateway(material=MATERIAL, redis=Part.ANSWERS, prosody=Part.ANSWERS), **fields)


def applied(actions: list[GatewayAction]) -> dict[Key, Manifest]:
    """Give the objects that are to be made or changed."""
    return {key_of(action.manifest): action.manifest for action in actions if isinstance(action, Apply)}


def find(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Find the one object of a kind (and name)."""
    (found,) = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"].endswith(name)]
    return found


class Cluster:
    """A cluster that keeps what it is told to, for one gateway."""

    def __init__(self, resource: BridgeGateway) -> None:
        self.resource = resource
        self.objects: dict[Key, Manifest] = {}
        self.writes = 0
        self.spent = 0

    def look(self, **fields: Any) -> ObservedGateway:  # noqa: ANN401  # any of the fields
        """Observe what there is."""
        held = {key: Held(m["metadata"]["labels"][COMPONENT], m["metadata"]["annotations"][HASH])
                for key, m in self.objects.items()}  # fmt: skip
        return observed(objects=held, epochs=tuple(self.stock()), spent=self.spent, **fields)

    def stock(self) -> dict[int, str]:
        """Give the front desk's secrets by epoch, as its pods see them."""
        secret = self.objects.get(Key("Secret", "wa-frontdesk"))
        return read_stock(text(secret, EPOCHS)) if secret else {}

    def turn(self, now: float = NOW, **fields: Any) -> list[GatewayAction]:  # noqa: ANN401  # any of the fields
        """Plan once and do it; gives what was done."""
        actions = plan_gateway(self.resource, self.look(**fields), INSTALLATION, now)
        for action in actions:
            self.writes += 1
            match action:
                case Apply(manifest):
                    self.objects[key_of(manifest)] = manifest
                case Delete(key):
                    del self.objects[key]
                case WriteGatewayStatus(status):
                    self.resource = self.resource.model_copy(update={"status": status})
        return actions

    def condition(self, kind: str) -> tuple[str, str] | None:
        """Give status and reason of a condition, None when it is not listed."""
        found = [c for c in self.resource.status.conditions if c.type == kind]
        return (found[0].status.value, found[0].reason) if found else None


def text(secret: Manifest, key: str) -> str:
    """Read a text of a Secret."""
    return decoded(secret, key)
