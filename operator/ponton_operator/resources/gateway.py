"""BridgeGateway: one component domain, where its servers are, and how its shards run.

Read by `plan/`, the drivers in `cluster/`, the doors and the account service. What only a cluster can do (image,
resources, storage, runtime class) is accepted on one machine and without effect there.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from ponton_operator.resources.base import API_VERSION, Condition, K8s, Metadata, Name, Quantity
from ponton_operator.resources.network import LabelValue, Network
from ponton_operator.resources.running import Rollout, Scaling

KIND: Final = "BridgeGateway"
_HOST = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
Host = Annotated[str, Field(pattern=_HOST, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]


class SecretRef(K8s):
    """One key of a Secret; on one machine the file `secrets/<name>/<key>`."""

    name: Name
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class Tls(K8s):
    """Direct TLS; `ca_ref` is the authority to trust (PEM)."""

    ca_ref: SecretRef


class XmppServer(K8s):
    """Where streams of shards and front desk go: the ports of mod_component_shards. Without `tls`: plain, loopback."""

    host: str = "127.0.0.1"
    port: Port = 5348
    tls: Tls | None = None


class ProsodyControl(K8s):
    """The module's HTTP view, for assign, release, status and purge; `url` is that of its `shards` path."""

    url: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+/[^?#\s]*$")]
    token_ref: SecretRef
    ca_ref: SecretRef | None = None


class Redis(K8s):
    """The Redis that coordinates; the URL holds the user and password of the control plane, who may make users."""

    url_ref: SecretRef


class Secrets(K8s):
    """What only the control plane holds; Prosody holds the same master."""

    master_ref: SecretRef
    # The plain XEP-0114 secret of the front desk; without it one is derived for each epoch, which fences it too.
    front_desk_ref: SecretRef | None = None


class Resources(K8s):
    """Requests and limits of a shard's container (cluster only), for gateways without tiers."""

    cpu_request: Quantity = "20m"
    memory_request: Quantity = "96Mi"
    memory_limit: Quantity = "256Mi"


class Storage(K8s):
    """The volume of an account's store (cluster only)."""

    storage_class_name: str = ""  # empty: the cluster's default class
    size: Quantity = "256Mi"
    # ReadWriteOncePod keeps a second pod out even on the same node; not every class can.
    access_mode: Literal["ReadWriteOncePod", "ReadWriteOnce"] = "ReadWriteOncePod"


class Egress(K8s):
    """How shards reach WhatsApp; `proxy` is an HTTP CONNECT proxy's URL, empty for none."""

    proxy: Annotated[str, Field(pattern=r"^(https?://[^/?#\s]+)?$")] = ""


class SendLimits(K8s):
    """Bounds of human chat: generous for a person, tight for a script; 0 switches one off."""

    per_minute: Annotated[int, Field(ge=0)] = 60
    burst: Annotated[int, Field(ge=0)] = 30
    new_contacts_per_hour: Annotated[int, Field(ge=0)] = 5
    new_contacts_per_day: Annotated[int, Field(ge=0)] = 20


class Upload(K8s):
    """Where pictures of codes are uploaded (XEP-0363); without it codes come as text only."""

    host: Host
    ca_ref: SecretRef | None = None


class ShardTemplate(K8s):
    """How every shard of the gateway runs."""

    image: str = ""  # empty: the operator's PONTON_SHARD_IMAGE
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    runtime_class_name: str = ""
    priority_class_name: str = ""
    node_selector: dict[str, LabelValue] = Field(default_factory=dict)
    resources: Resources = Resources()
    storage: Storage = Storage()
    egress: Egress = Egress()
    limits: SendLimits = SendLimits()
    upload: Upload | None = None
    # WhatsApp gives no more than six: the first for 60 s and five more for 20 s each.
    codes_per_attempt: Annotated[int, Field(ge=1, le=6)] = 6
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Accounts(K8s):
    """Who may have an account: owners on these hosts (empty: the parent of the gateway's domain), at most `max`."""

    allowed_owners: tuple[Host, ...] = ()
    max: Annotated[int, Field(ge=0)] = 1000


class SelfService(K8s):
    """What the doors offer. `registration` Closed: only the host makes accounts."""

    front_desk: bool = True
    registration: Literal["Open", "Closed"] = "Open"


_IMMUTABLE = {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "the domain cannot be changed"}]}


class GatewaySpec(K8s):
    """Written by the host."""

    domain: Annotated[str, Field(pattern=_HOST, max_length=253, json_schema_extra=_IMMUTABLE)]
    xmpp: XmppServer = XmppServer()
    prosody: ProsodyControl
    redis: Redis
    secrets: Secrets
    shard: ShardTemplate = ShardTemplate()
    accounts: Accounts = Accounts()
    selfservice: SelfService = SelfService()
    scaling: Scaling = Scaling()
    rollout: Rollout = Rollout()
    network: Network = Network()


class GatewayStatus(K8s):
    """Written by the operator; `problems` are sentences for the host, about resources that could not be taken."""

    observed_generation: int = 0
    revision: str = ""  # what a new shard would run
    # Of the rollout of `wave_revision`: Canary, Wave1 …, Done, Stopped; and how many of its accounts lost their link.
    wave: str = ""
    wave_revision: str = ""
    pairings_lost: int = 0
    accounts: int = 0
    running: int = 0
    paired: int = 0
    parked: int = 0
    failed: int = 0
    problems: tuple[str, ...] = ()
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()


class BridgeGateway(K8s):
    """One gateway."""

    api_version: Literal["ponton.im/v1alpha1"] = API_VERSION
    kind: Literal["BridgeGateway"] = KIND
    metadata: Metadata
    spec: GatewaySpec
    status: GatewayStatus = GatewayStatus()


def allowed_hosts(gateway: BridgeGateway) -> tuple[str, ...]:
    """Give the hosts whose users may have an account: as listed, else the parent of the gateway's domain."""
    parent = gateway.spec.domain.partition(".")[2]
    return gateway.spec.accounts.allowed_owners or ((parent,) if parent else ())
