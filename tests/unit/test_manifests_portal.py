"""The portal's objects: restricted pods that serve together, a Service, least rights, restarts only for a reason."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponton_operator.plan.manifests_base import HASH, Manifest, fingerprint
from ponton_operator.plan.manifests_door import GATEWAY_FILE, HEALTH_PORT, REVISION, Settings
from ponton_operator.plan.manifests_portal import PortTaken, portal
from ponton_operator.programs.portal import read_config
from ponton_operator.resources.gateway import BridgeGateway, GatewayStatus, PortalStatus
from ponton_operator.resources.yamlfile import load
from tests.unit.gateway_world import find, gateway, text

TOLD = {"redis-url": "redis://portal:pw@192.0.2.20/0"}
PAGE = {"url": "https://example.org/wa", "port": 8481, "hosts": ["admin@example.org"]}
KINDS = {
    "ServiceAccount", "RoleBinding", "ConfigMap", "Secret", "Service", "PodDisruptionBudget", "Deployment",
}  # fmt: skip


def serving(head: dict[str, Any] | None = None, **page: object) -> BridgeGateway:
    """Make a gateway with a portal."""
    return gateway(head, selfservice={"portal": PAGE | page})


def made(resource: BridgeGateway | None = None, told: dict[str, str] | None = None, **settings: str) -> list[Manifest]:
    """Make the objects."""
    return portal(resource or serving(), Settings(**({"image": "operator:1"} | settings)), told or TOLD)


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    """Give the spec of the pods."""
    spec: dict[str, Any] = find(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def revision(manifests: list[Manifest]) -> str:
    """Give the annotation at whose change pods start anew."""
    annotation: str = find(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"][REVISION]
    return annotation


def test_without_a_portal_there_is_nothing() -> None:
    """The host has not asked for one."""
    assert [] == portal(gateway(), Settings(image="operator:1"), TOLD)


def test_all_objects_are_the_gateways() -> None:
    """Everything is in its namespace, has the labels, goes with it, and carries the hash of what it was made of."""
    manifests = made()
    assert {m["kind"] for m in manifests} == KINDS
    for m in manifests:
        metadata = m["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert ("bridges", "u-1") == (metadata["namespace"], owner["uid"])
        assert {"ponton", "portal", "wa"} == set(metadata["labels"].values())
        bare = m | {"metadata": {key: value for key, value in metadata.items() if key != "annotations"}}
        assert fingerprint(bare) == metadata["annotations"][HASH]


def test_the_pod_is_restricted() -> None:
    """Not root, nothing to write to but a small /tmp, no capability, bounded memory, and time to end."""
    spec = pod(made())
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}} == (
        container["securityContext"]
    )
    assert ["/tmp"] == [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]  # noqa: S108  # in the pod
    assert container["resources"]["limits"]["memory"]
    assert 30 == spec["terminationGracePeriodSeconds"]
    paths = [container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]
    assert [("/healthz", "metrics"), ("/readyz", "metrics")] == [(one["path"], one["port"]) for one in paths]


def test_several_serve_at_the_same_time() -> None:
    """On different nodes if possible; a drain takes one at a time, an update none before its successor is ready."""
    manifests = made()
    deployment = find(manifests, "Deployment")["spec"]
    assert (2, {"maxSurge": 1, "maxUnavailable": 0}) == (
        deployment["replicas"],
        deployment["strategy"]["rollingUpdate"],
    )
    (spread,) = pod(manifests)["topologySpreadConstraints"]
    assert (deployment["selector"], "ScheduleAnyway") == (spread["labelSelector"], spread["whenUnsatisfiable"])
    budget = find(manifests, "PodDisruptionBudget")["spec"]
    assert (1, deployment["selector"]) == (budget["maxUnavailable"], budget["selector"])


def test_the_service_leads_to_the_pages() -> None:
    """By the name of the port, wherever the host has put it."""
    manifests = made()
    service, deployment = find(manifests, "Service")["spec"], find(manifests, "Deployment")["spec"]
    assert deployment["selector"]["matchLabels"] == service["selector"]
    (port,) = service["ports"]
    ports = {one["name"]: one["containerPort"] for one in pod(manifests)["containers"][0]["ports"]}
    assert (80, 8481) == (port["port"], ports[port["targetPort"]])
    assert HEALTH_PORT == ports["metrics"]


def test_the_pages_are_not_where_the_metrics_are() -> None:
    """The host is told to choose another port."""
    with pytest.raises(PortTaken, match=r"spec\.selfservice\.portal\.port is 9090"):
        made(serving(port=HEALTH_PORT))


def test_rights_are_the_least() -> None:
    """The doors' ClusterRole in this namespace: accounts, and nothing else."""
    manifests = made(role="doors")
    binding = find(manifests, "RoleBinding")
    assert ("ClusterRole", "doors") == (binding["roleRef"]["kind"], binding["roleRef"]["name"])
    assert [{"kind": "ServiceAccount", "name": "wa-portal", "namespace": "bridges"}] == binding["subjects"]
    assert "wa-portal" == pod(manifests)["serviceAccountName"]
    assert False is find(manifests, "ServiceAccount")["automountServiceAccountToken"]


def test_what_is_told_is_what_the_program_reads(tmp_path: Path) -> None:
    """With the files where they are mounted it has a whole configuration, and knows of no stream."""
    manifests, folder = made(), tmp_path
    variables = pod(manifests)["containers"][0]["env"]
    told = {v["name"]: v.get("value") or v["valueFrom"]["fieldRef"]["fieldPath"] for v in variables}
    assert [] == [name for name in told if "XMPP" in name or "EPOCH" in name]
    secret = find(manifests, "Secret")
    (folder / GATEWAY_FILE).write_text(find(manifests, "ConfigMap")["data"][GATEWAY_FILE])
    (folder / "redis-url").write_text(text(secret, "redis-url"))
    places = {"PONTON_GATEWAY_FILE": str(folder / GATEWAY_FILE), "PONTON_SECRETS": str(folder)}
    assert ("/etc/ponton/gateway.yaml", "/run/ponton") == tuple(told[name] for name in places)
    config = read_config(told | places)
    assert (TOLD["redis-url"], None, "metadata.uid", 8481, HEALTH_PORT) == (
        config.redis_url,
        config.accounts,
        config.replica,
        config.spec.port,
        config.metrics,
    )
    assert ip_address(config.address).is_unspecified
    assert ("https://example.org/wa", ("admin@example.org",)) == (config.spec.url, config.spec.hosts)
    assert ("wa", "bridges") == (config.gateway.metadata.name, config.gateway.metadata.namespace)


def test_secrets_are_in_the_secret_alone() -> None:
    """What is told is a file of the Secret; nothing of it stands anywhere else."""
    manifests = made()
    secret = find(manifests, "Secret")
    assert TOLD == {key: text(secret, key) for key in secret["data"]}
    assert "portal:pw" not in yaml.safe_dump([m for m in manifests if m["kind"] != "Secret"])


def test_pods_start_anew_for_their_own_sake_only() -> None:
    """Another URL or host's person restarts them; more replicas, shards' template and rollout do not."""
    before = made()
    other = gateway(selfservice={"portal": PAGE}, shard={"codesPerAttempt": 2}, rollout={"paused": True})
    assert revision(before) == revision(made(other))
    assert revision(before) == revision(made(serving(minReplicas=3)))
    assert revision(before) == revision(made(serving({"generation": 9})))
    for changed in (made(told={"redis-url": "x"}), made(serving(hosts=[])), made(serving(url="https://example.net"))):
        assert revision(before) != revision(changed)


def test_as_many_as_the_scaler_wants_within_the_hosts_word() -> None:
    """Its word stands in the gateway's status."""

    def replicas(said: int, **page: Any) -> int:  # noqa: ANN401  # as in YAML
        status = GatewayStatus(portal=PortalStatus(replicas=said))
        resource = serving(**page).model_copy(update={"status": status})
        return int(find(made(resource), "Deployment")["spec"]["replicas"])

    assert [2, 4, 5] == [replicas(said) for said in (1, 4, 9)]
    assert [3, 3] == [replicas(said, minReplicas=3, maxReplicas=3) for said in (1, 9)]


def test_the_file_is_a_whole_gateway() -> None:
    """The mounted YAML is taken as any gateway's."""
    read = load(BridgeGateway, find(made(), "ConfigMap")["data"][GATEWAY_FILE])
    assert "wa.example.org" == read.spec.domain


def test_what_the_host_wants_of_pods_is_passed_on() -> None:
    """Image, pull policy, pull secrets and priority."""
    resource = gateway(selfservice={"portal": PAGE}, shard={"imagePullSecrets": ["pull"]})
    spec = pod(made(resource, pull_policy="Never", priority_class="high"))
    (container,) = spec["containers"]
    assert ("operator:1", "Never", [{"name": "pull"}], "high") == (
        container["image"],
        container["imagePullPolicy"],
        spec["imagePullSecrets"],
        spec["priorityClassName"],
    )
