"""The front desk's objects: two restricted pods, least rights, and restarts only when something of theirs changed."""

from typing import Any

import yaml

from ponton_operator.plan.manifests_base import HASH, Manifest, fingerprint
from ponton_operator.plan.manifests_desk import EPOCHS, front_desk
from ponton_operator.plan.manifests_door import GATEWAY_FILE, REVISION, Settings
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.yamlfile import load
from tests.unit.gateway_world import find, gateway, text

TOLD = {"redis-url": "redis://desk:pw@192.0.2.20/0", EPOCHS: '{"7": "secret"}'}
KINDS = {
    "ServiceAccount", "Lease", "Role", "RoleBinding", "ConfigMap", "Secret", "PodDisruptionBudget", "Deployment",
}  # fmt: skip


def made(resource: BridgeGateway | None = None, told: dict[str, str] | None = None, **settings: str) -> list[Manifest]:
    """Make the objects."""
    return front_desk(resource or gateway(), Settings(**({"image": "operator:1"} | settings)), told or TOLD)


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    """Give the spec of the pods."""
    spec: dict[str, Any] = find(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def revision(manifests: list[Manifest]) -> str:
    """Give the annotation at whose change pods start anew."""
    annotation: str = find(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"][REVISION]
    return annotation


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """Give the variables of the container, fields of the pod by their path."""
    variables = pod(manifests)["containers"][0]["env"]
    return {v["name"]: v.get("value") or v["valueFrom"]["fieldRef"]["fieldPath"] for v in variables}


def test_all_objects_are_the_gateways() -> None:
    """Everything is in its namespace, has the labels, goes with it, and carries the hash of what it was made of."""
    manifests = made()
    assert {m["kind"] for m in manifests} == KINDS
    for m in manifests:
        metadata = m["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert ("bridges", "u-1", False) == (metadata["namespace"], owner["uid"], owner["blockOwnerDeletion"])
        assert {"ponton", "frontdesk", "wa"} == set(metadata["labels"].values())
        bare = m | {"metadata": {key: value for key, value in metadata.items() if key != "annotations"}}
        assert fingerprint(bare) == metadata["annotations"][HASH]


def test_the_pod_is_restricted() -> None:
    """Not root, nothing to write to but a small /tmp, no capability, the runtime's seccomp profile, bounded memory."""
    spec = pod(made())
    (container,) = spec["containers"]
    security, own = spec["securityContext"], container["securityContext"]
    assert (True, 65532, {"type": "RuntimeDefault"}) == (
        security["runAsNonRoot"],
        security["runAsUser"],
        security["seccompProfile"],
    )
    assert (False, True, ["ALL"]) == (
        own["allowPrivilegeEscalation"],
        own["readOnlyRootFilesystem"],
        own["capabilities"]["drop"],
    )
    assert ["/tmp"] == [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]  # noqa: S108  # in the pod
    assert container["resources"]["limits"]["memory"]
    assert not spec["enableServiceLinks"]


def test_one_of_two_is_always_there() -> None:
    """Two pods, apart if possible, never both away by a drain or an update; both are probed."""
    manifests = made()
    deployment = find(manifests, "Deployment")["spec"]
    assert (2, {"maxSurge": 1, "maxUnavailable": 0}) == (
        deployment["replicas"],
        deployment["strategy"]["rollingUpdate"],
    )
    budget = find(manifests, "PodDisruptionBudget")["spec"]
    assert (1, deployment["selector"]) == (budget["maxUnavailable"], budget["selector"])
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()
    (apart,) = pod(manifests)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert deployment["selector"] == apart["podAffinityTerm"]["labelSelector"]
    (container,) = pod(manifests)["containers"]
    paths = [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert ["/healthz", "/readyz"] == paths


def test_rights_are_the_least() -> None:
    """It may read and renew its own Lease, and gets the doors' ClusterRole in this namespace; nothing about Secrets."""
    manifests = made(role="doors")
    (rule,) = find(manifests, "Role")["rules"]
    assert (["leases"], ["wa-frontdesk"], ["get", "update"]) == (
        rule["resources"],
        rule["resourceNames"],
        rule["verbs"],
    )
    roles = {m["roleRef"]["kind"]: m["roleRef"]["name"] for m in manifests if m["kind"] == "RoleBinding"}
    assert {"Role": "wa-frontdesk", "ClusterRole": "doors"} == roles
    for binding in (m for m in manifests if m["kind"] == "RoleBinding"):
        assert [{"kind": "ServiceAccount", "name": "wa-frontdesk", "namespace": "bridges"}] == binding["subjects"]
    assert "wa-frontdesk" == pod(manifests)["serviceAccountName"]
    assert False is find(manifests, "ServiceAccount")["automountServiceAccountToken"]


def test_the_environment_says_where_everything_is() -> None:
    """No epoch and no instance of ours: the Lease issues the one, the pod's uid is the other."""
    told = environment(made(told=TOLD | {"xmpp-ca.pem": "PEM"}))
    assert {
        "PONTON_CLUSTER": "1",
        "PONTON_DOMAIN": "wa.example.org",
        "PONTON_GATEWAY": "wa",
        "PONTON_GATEWAY_FILE": "/etc/ponton/gateway.yaml",
        "PONTON_INSTANCE": "metadata.uid",
        "PONTON_LEASE": "wa-frontdesk",
        "PONTON_LOG_LEVEL": "info",
        "PONTON_NAMESPACE": "metadata.namespace",
        "PONTON_POD": "metadata.name",
        "PONTON_SECRETS": "/run/ponton",
        "PONTON_XMPP_CA": "/run/ponton/xmpp-ca.pem",
        "PONTON_XMPP_HOST": "192.0.2.10",
        "PONTON_XMPP_PORT": "5348",
    } == told
    assert "PONTON_XMPP_CA" not in environment(made())


def test_secrets_are_in_the_secret_alone() -> None:
    """What is told is a file of the Secret; nothing of it stands anywhere else."""
    manifests = made()
    secret = find(manifests, "Secret")
    assert TOLD == {key: text(secret, key) for key in secret["data"]}
    rest = yaml.safe_dump([m for m in manifests if m["kind"] != "Secret"])
    assert not any(value in rest for value in ("desk:pw", '"secret"', "redis-url"))


def test_pods_start_anew_for_their_own_sake_only() -> None:
    """Another URL, domain's owners or host restarts them; new epochs, shards' template and rollout do not."""
    before = made()
    for spec in ({"shard": {"codesPerAttempt": 2}}, {"rollout": {"paused": True}}, {"network": {"policies": False}}):
        assert revision(before) == revision(made(gateway(**spec)))
    assert revision(before) == revision(made(gateway({"generation": 9, "annotations": {"a": "b"}})))
    assert revision(before) == revision(made(told=TOLD | {EPOCHS: "{}"}))
    page, other_page = ({"portal": {"url": "https://example.org", "port": port}} for port in (8480, 8481))
    assert revision(made(gateway(selfservice=page))) == revision(made(gateway(selfservice=other_page)))
    assert find(before, "Secret")["metadata"] != find(made(told=TOLD | {EPOCHS: "{}"}), "Secret")["metadata"]
    for other in (
        made(told=TOLD | {"redis-url": "x"}),
        made(gateway(accounts={"max": 3})),
        made(gateway(selfservice={"registration": "Closed"})),
        made(gateway(selfservice={"portal": {"url": "https://example.org"}})),
    ):
        assert revision(before) != revision(other)


def test_the_gateways_file_is_a_whole_gateway() -> None:
    """The mounted YAML is taken as any gateway's, and says what doors need."""
    resource = gateway(accounts={"max": 3, "allowedOwners": ["a.example"]})
    read = load(BridgeGateway, find(made(resource), "ConfigMap")["data"][GATEWAY_FILE])
    assert ("wa", "wa.example.org", 3, ("a.example",)) == (
        read.metadata.name,
        read.spec.domain,
        read.spec.accounts.max,
        read.spec.accounts.allowed_owners,
    )


def test_what_the_host_wants_of_pods_is_passed_on() -> None:
    """Image, pull policy, pull secrets and priority."""
    spec = pod(made(gateway(shard={"imagePullSecrets": ["pull"]}), pull_policy="Never", priority_class="high"))
    (container,) = spec["containers"]
    assert ("operator:1", "Never", [{"name": "pull"}], "high") == (
        container["image"],
        container["imagePullPolicy"],
        spec["imagePullSecrets"],
        spec["priorityClassName"],
    )
    assert "priorityClassName" not in pod(made())
