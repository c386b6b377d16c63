"""BridgeGateway: one component domain, where its servers are, and how its shards run.

Read by `plan/`, the drivers in `cluster/`, the doors and the account service. What only a cluster can do (image,
resources, storage, runtime class) is accepted on one machine and without effect there.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from ponton_operator.resources.account import MAX_OWNER, OWNER
from ponton_operator.resources.base import (
    API_VERSION,
    MAX_HOST,
    ClusterName,
    Condition,
    Count,
    Cpu,
    Flag,
    Host,
    K8s,
    Memory,
    Metadata,
    Name,
    SecretRef,
    Whole,
)
from ponton_operator.resources.network import Cidr, Labels, Network
from ponton_operator.resources.oidc import Oidc
from ponton_operator.resources.rules import MEMORY_FITS, REPLICAS_ASCEND, SOME_LOGIN, Rule, shape
from ponton_operator.resources.running import Rollout, Scaling

KIND: Final = "BridgeGateway"
Port = Annotated[Whole, Field(ge=1, le=65535)]
_MAX_URL: Final = 512  # characters
_MAX_REFERENCE: Final = 512  # characters of an image's reference
_MAX_HOSTS: Final = 100  # hosts whose users may have an account


class Tls(K8s):
    """Direct TLS."""

    ca_ref: SecretRef
    """The authority to trust (PEM)."""


class XmppServer(K8s):
    """Where streams of shards and front desk go: the ports of mod_component_shards."""

    host: Annotated[
        str,
        Field(max_length=MAX_HOST),
        shape("^[-_a-zA-Z0-9.:]+$", "write a host name or an address, without port"),
    ] = "127.0.0.1"
    """A name or an address."""
    port: Port = 5348
    """The module's port; for TLS the one on which it speaks TLS."""
    tls: Tls | None = None
    """Without it the streams are plain, which is for loopback only."""


class ProsodyControl(K8s):
    """The module's HTTP view, for assign, release, status and purge."""

    url: Annotated[
        str,
        Field(max_length=_MAX_URL),
        # No user and password: a spec is no place for them.
        shape(
            r"^https?://[-_A-Za-z0-9.:\[\]]+/[-_A-Za-z0-9.~%/]*$",
            "write the URL of the module's view, like https://prosody.example.org:5281/shards",
        ),
    ]
    """The URL of its shards path."""
    token_ref: SecretRef
    """The token that it asks for (component_shards_admin_token)."""
    ca_ref: SecretRef | None = None
    """The authority to trust (PEM). Default: those of the system."""


class Redis(K8s):
    """The Redis that coordinates."""

    url_ref: SecretRef
    """The URL with user and password of the control plane, who may make users."""


class Secrets(K8s):
    """What only the control plane holds; Prosody holds the same master."""

    master_ref: SecretRef
    """The secret from which those of shards are derived (component_shards_master_secret)."""
    front_desk_ref: SecretRef | None = None
    """The plain XEP-0114 secret of the front desk; without it one is derived for each epoch, which fences it too."""


class Resources(K8s):
    """Requests and limits of a shard's container (cluster only), for gateways without tiers."""

    RULES: ClassVar = (MEMORY_FITS,)

    cpu_request: Cpu = "20m"
    """Processor time that is set aside."""
    memory_request: Memory = "96Mi"
    """Memory that is set aside."""
    memory_limit: Memory = "256Mi"
    """Memory at which the container is ended."""


class Storage(K8s):
    """The volume of an account's store (cluster only)."""

    storage_class_name: ClusterName = ""
    """Empty: the cluster's default class."""
    size: Memory = "256Mi"
    """The size of the volume."""
    access_mode: Literal["ReadWriteOncePod", "ReadWriteOnce"] = "ReadWriteOncePod"
    """ReadWriteOncePod keeps a second pod out even on the same node; not every class can."""


class Egress(K8s):
    """How shards reach WhatsApp."""

    proxy: Annotated[
        str,
        Field(max_length=_MAX_URL),
        shape(
            r"^(https?://[-_A-Za-z0-9.~%!$&()*+,;=:@\[\]]+)?$",
            "write the URL of a proxy without path, like http://proxy.example.org:3128, or nothing",
        ),
    ] = ""
    """The URL of an HTTP CONNECT proxy; empty for none."""


class SendLimits(K8s):
    """Bounds of human chat: generous for a person, tight for a script; 0 switches one off."""

    per_minute: Count = 60
    """Messages of an account in a minute, on average."""
    burst: Count = 30
    """Messages of an account at once."""
    new_contacts_per_hour: Count = 5
    """Contacts to whom an account writes first, in an hour."""
    new_contacts_per_day: Count = 20
    """The same in a day."""


class Upload(K8s):
    """Where pictures of codes are uploaded (XEP-0363)."""

    host: Host
    """The upload service's XMPP address."""
    ca_ref: SecretRef | None = None
    """The authority to trust (PEM) for its URLs. Default: those of the system."""


class ShardTemplate(K8s):
    """How every shard of the gateway runs."""

    image: Annotated[
        str,
        Field(max_length=_MAX_REFERENCE),
        shape(
            "^([a-zA-Z0-9][-_a-zA-Z0-9./:@]*)?$",
            "write the reference of an image, like registry.example.org/ponton-bridge:1.0, or nothing",
        ),
    ] = ""
    """Empty: the operator's PONTON_SHARD_IMAGE."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    image_pull_secrets: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    """Secrets for the registry, in the gateway's namespace."""
    runtime_class_name: ClusterName = ""
    """The RuntimeClass of shards; empty for the cluster's default."""
    priority_class_name: ClusterName = ""
    """The PriorityClass of shards; empty for the cluster's default."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels of the nodes on which shards may run."""
    resources: Resources = Resources()
    storage: Storage = Storage()
    egress: Egress = Egress()
    limits: SendLimits = SendLimits()
    upload: Upload | None = None
    """Where pictures of codes are uploaded; without it codes come as text only."""
    codes_per_attempt: Annotated[Whole, Field(ge=1, le=6)] = 6
    """Codes of one attempt to link. WhatsApp gives no more than six: the first for 60 s, five more for 20 s each."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged."""
    driver: Literal["Auto", "Core", "Neonize"] = "Auto"
    """What speaks to WhatsApp: a program beside the shard, or a library in it. Auto: the core, if the image has it."""


class Accounts(K8s):
    """Who may have an account, and how many."""

    allowed_owners: Annotated[tuple[Host, ...], Field(max_length=_MAX_HOSTS)] = ()
    """Hosts of owners. Empty: the parent of the gateway's domain."""
    max: Count = 1000
    """Accounts at most."""


class Portal(K8s):
    """The self-service pages."""

    RULES: ClassVar = (REPLICAS_ASCEND, SOME_LOGIN)

    url: Annotated[
        str,
        Field(max_length=_MAX_URL),
        shape(
            r"^(https://[-_A-Za-z0-9.:\[\]]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)(/[-_A-Za-z0-9.~]+)*$",
            "write the address of the page without '/' at its end, like https://example.org/whatsapp; "
            "http is for localhost only",
        ),
    ]
    """Where browsers find it, with the path below which a proxy serves it."""
    port: Port = 8480
    """The port on which it listens, for the proxy that speaks TLS: of loopback; on a cluster of its pods, not 9090."""
    proxies: Annotated[tuple[Cidr, ...], Field(max_length=16)] = ()
    """Networks of proxies whose X-Forwarded-For is believed."""
    hosts: Annotated[tuple[Annotated[str, Field(max_length=MAX_OWNER), OWNER], ...], Field(max_length=100)] = ()
    """XMPP addresses of the host's own people, who see all accounts and may start, stop, park and delete them."""
    xmpp_login: Flag = True
    """Whether people log in with a code, or a yes, that the gateway asks for over XMPP."""
    oidc: Oidc | None = None
    """A login server of the host (OpenID Connect), with which people log in too; without it there is none."""
    min_replicas: Annotated[Whole, Field(ge=1, le=20)] = 2
    """Pods that there are at least (cluster only)."""
    max_replicas: Annotated[Whole, Field(ge=1, le=20)] = 5
    """Pods that there are at most; the scaler goes by the pages that are open (cluster only)."""


class SelfService(K8s):
    """What the doors offer."""

    front_desk: Flag = True
    """Whether there is a front desk."""
    portal: Portal | None = None
    """The self-service pages; without it there are none."""
    registration: Literal["Open", "Closed"] = "Open"
    """Closed: only the host makes accounts."""


class GatewaySpec(K8s):
    """Written by the host."""

    domain: Annotated[
        Host,
        Rule("self == oldSelf", "the domain cannot be changed: make another gateway for another domain"),
    ]
    """The component's domain, of which every contact is a user."""
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


class PortalStatus(K8s):
    """How many pods the portal shall have; written by the scaler."""

    replicas: Whole = 0
    """The number."""
    since: datetime | None = None
    """When it changed last."""


class GatewayStatus(K8s):
    """Written by the operator."""

    observed_generation: Whole = 0
    """The generation of the resource that this status is about."""
    revision: str = ""
    """What a new shard would run."""
    wave: str = ""
    """Of a rollout: Canary, Wave1 and so on, Done, Stopped."""
    wave_revision: str = ""
    """The revision that is rolled out by this wave."""
    pairings_lost: Whole = 0
    """How many of the accounts that were restarted with it have lost their link, or crash."""
    accounts: Whole = 0
    """Accounts of the gateway."""
    running: Whole = 0
    """Those that are linked and connected."""
    paired: Whole = 0
    """Those that are linked."""
    parked: Whole = 0
    """Those that are parked."""
    failed: Whole = 0
    """Those that need somebody."""
    portal: PortalStatus | None = None
    """The scaler's word on the portal, once it differs from minReplicas."""
    problems: tuple[str, ...] = ()
    """Sentences for the host, about resources that could not be taken."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """What holds of the gateway; docs/conditions.md lists types and reasons."""


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
