"""The objects of a shard: what is in the pod, what is not, and that nothing of the owner shows."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ponton_operator.plan.manifests_shard import Launch, shard_claim, shard_name, shard_pod, shard_secret, tier_of
from ponton_operator.resources.account import BridgeAccount, ScalingStatus
from ponton_operator.resources.gateway import BridgeGateway

EPOCH = 1_764_426_000_000


def gateway(**spec: Any) -> BridgeGateway:  # noqa: ANN401  # parts of a resource
    """Make a gateway."""
    base = {
        "domain": "whatsapp.example.org",
        "xmpp": {"host": "prosody.xmpp.svc", "port": 5349},
        "prosody": {"url": "https://prosody.xmpp.svc:5281/shards", "tokenRef": {"name": "s", "key": "token"}},
        "redis": {"urlRef": {"name": "s", "key": "redis"}},
        "secrets": {"masterRef": {"name": "s", "key": "master"}},
    }
    return BridgeGateway.model_validate({"metadata": {"name": "wa", "namespace": "ns"}, "spec": base | spec})


def launch(wa: BridgeGateway | None = None, tier: str = "") -> Launch:
    """Make a start."""
    account = BridgeAccount.model_validate(
        {
            "metadata": {"name": "acc-x", "namespace": "ns", "uid": "u-1"},
            "spec": {"owner": "alice@example.org", "gatewayRef": {"name": "wa"}},
        }
    )
    status = account.status.model_copy(update={"store_epoch": 7, "scaling": ScalingStatus(tier=tier) if tier else None})
    return Launch(wa or gateway(), account.model_copy(update={"status": status}), EPOCH, "rev1", "ponton-bridge:1")


def container(pod: dict[str, Any]) -> dict[str, Any]:
    """Give the one container."""
    [only] = pod["spec"]["containers"]
    return dict(only)


def test_the_pod_is_restricted() -> None:
    """What Pod Security's level restricted asks, and more: no token, no service links, a root that is read only."""
    pod = shard_pod(launch())
    spec, inside = pod["spec"], container(pod)["securityContext"]
    assert (False, False) == (spec["automountServiceAccountToken"], spec["enableServiceLinks"])
    assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"]
    assert (True, 65532, 65532) == tuple(
        spec["securityContext"][key] for key in ("runAsNonRoot", "runAsUser", "fsGroup")
    )
    assert {"drop": ["ALL"]} == inside["capabilities"]
    assert (False, True) == (inside["allowPrivilegeEscalation"], inside["readOnlyRootFilesystem"])
    assert {"hostNetwork", "hostPID", "hostIPC", "hostPath"}.isdisjoint(json.dumps(pod).replace('"', " ").split())


def test_the_pod_is_restarted_in_place_and_leaves_a_lost_node_soon() -> None:
    """A crash restarts the container, a node that is away is left after 30 s, an end may take 30 s to drain."""
    spec = shard_pod(launch())["spec"]
    assert ("OnFailure", 30) == (spec["restartPolicy"], spec["terminationGracePeriodSeconds"])
    assert {("node.kubernetes.io/not-ready", 30), ("node.kubernetes.io/unreachable", 30)} == {
        (t["key"], t["tolerationSeconds"]) for t in spec["tolerations"]
    }
    [spread] = spec["topologySpreadConstraints"]
    assert ("kubernetes.io/hostname", "ScheduleAnyway") == (spread["topologyKey"], spread["whenUnsatisfiable"])
    assert "ponton.im/account" not in spread["labelSelector"]["matchLabels"]


def test_the_shard_is_told_by_environment_and_files() -> None:
    """Its instance is the pod's uid; secrets are files with a mode that the shard accepts; the store is the claim."""
    pod = shard_pod(launch())
    env = {e["name"]: e.get("value", e.get("valueFrom")) for e in container(pod)["env"]}
    assert {"fieldRef": {"fieldPath": "metadata.uid"}} == env["PONTON_INSTANCE"]
    assert (str(EPOCH), "acc-x", "7", "/var/lib/ponton/store", "/run/ponton") == tuple(
        env[f"PONTON_{name}"] for name in ("EPOCH", "ACCOUNT", "PREVIOUS_EPOCH", "STORE", "SECRETS")
    )
    assert "PONTON_XMPP_CA" not in env
    volumes = {v["name"]: v for v in pod["spec"]["volumes"]}
    assert {"secretName": f"acc-x-{EPOCH}", "defaultMode": 0o440} == volumes["secrets"]["secret"]
    assert {"claimName": "acc-x"} == volumes["store"]["persistentVolumeClaim"]
    assert ["shard"] == container(pod)["args"]


def test_authorities_are_files_beside_the_secrets() -> None:
    """With TLS and an upload service the shard is told where their authorities are."""
    ca = {"caRef": {"name": "ca", "key": "ca.crt"}}
    wa = gateway(
        xmpp={"host": "prosody", "tls": ca}, shard={"upload": {"host": "upload.example.org", **ca}}
    )  # fmt: skip
    env = {e["name"]: e.get("value") for e in container(shard_pod(launch(wa)))["env"]}
    assert ("/run/ponton/xmpp-ca.pem", "/run/ponton/upload-ca.pem") == (env["PONTON_XMPP_CA"], env["PONTON_UPLOAD_CA"])


def test_what_the_template_says_is_passed_through() -> None:
    """Image, pull policy and secrets, runtime class, priority, node selector; what is not said is not there."""
    plain = shard_pod(launch())["spec"]
    assert {"runtimeClassName", "priorityClassName", "nodeSelector", "imagePullSecrets"}.isdisjoint(plain)
    assert "ponton-bridge:1" == container(shard_pod(launch()))["image"]
    template = {
        "image": "registry.example.org/bridge:2",
        "imagePullPolicy": "Never",
        "imagePullSecrets": ["pull"],
        "runtimeClassName": "gvisor",
        "priorityClassName": "bridges",
        "nodeSelector": {"pool": "bridges"},
    }
    pod = shard_pod(launch(gateway(shard=template)))
    spec = pod["spec"]
    assert ("gvisor", "bridges", {"pool": "bridges"}, [{"name": "pull"}]) == tuple(
        spec[key] for key in ("runtimeClassName", "priorityClassName", "nodeSelector", "imagePullSecrets")
    )
    assert ("registry.example.org/bridge:2", "Never") == tuple(container(pod)[k] for k in ("image", "imagePullPolicy"))


@pytest.mark.parametrize(
    ("decided", "name", "limit"), [("", "small", "128Mi"), ("big", "big", "1Gi"), ("old", "small", "128Mi")]
)
def test_the_size_is_the_scalers_tier(decided: str, name: str, limit: str) -> None:
    """The first tier at first, then what the scaler decided; a tier that is no more is the first again."""
    tiers = [{"name": "small", "memoryLimit": "128Mi"}, {"name": "big", "memoryLimit": "1Gi", "cpuRequest": "100m"}]
    started = launch(gateway(scaling={"tiers": tiers}), decided)
    pod = shard_pod(started)
    assert name == tier_of(started.gateway, started.account).name == pod["metadata"]["annotations"]["ponton.im/tier"]
    assert {"memory": limit} == container(pod)["resources"]["limits"]
    assert [("cpu", "NotRequired"), ("memory", "NotRequired")] == [
        (p["resourceName"], p["restartPolicy"]) for p in container(pod)["resizePolicy"]
    ]


def test_without_tiers_the_template_says_the_size() -> None:
    """The plain fields of the template count."""
    pod = shard_pod(launch(gateway(shard={"resources": {"memoryLimit": "300Mi"}})))
    assert {"memory": "300Mi"} == container(pod)["resources"]["limits"]
    assert "template" == pod["metadata"]["annotations"]["ponton.im/tier"]


def test_everything_belongs_to_the_account_and_is_found_by_labels() -> None:
    """Owner reference, labels, and one name for pod and Secret of an epoch; the claim has the account's."""
    started = launch()
    objects = shard_pod(started), shard_secret(started, {"owner": "x"}), shard_claim(started)
    for made in objects:
        [owner] = made["metadata"]["ownerReferences"]
        assert ("BridgeAccount", "acc-x", "u-1", False) == tuple(
            owner[key] for key in ("kind", "name", "uid", "blockOwnerDeletion")
        )
        assert {
            "app.kubernetes.io/managed-by": "ponton",
            "app.kubernetes.io/component": "shard",
            "ponton.im/gateway": "wa",
            "ponton.im/account": "acc-x",
        } == made["metadata"]["labels"]
        assert "ns" == made["metadata"]["namespace"]
    name = shard_name("acc-x", EPOCH)
    assert [name, name, "acc-x"] == [made["metadata"]["name"] for made in objects]
    assert len(name) < 64


def test_nothing_of_the_owner_shows() -> None:
    """Pod and claim hold no address; the Secret is the one place for it."""
    started = launch()
    assert "alice" not in json.dumps([shard_pod(started), shard_claim(started)])
    secret = shard_secret(started, {"owner": "alice@example.org"})
    assert {"owner": "alice@example.org"} == secret["stringData"]
    assert "alice" not in json.dumps(secret["metadata"])


def test_the_claim_is_as_the_template_says() -> None:
    """One pod at a time where the class can; the default class unless one is named."""
    assert {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "256Mi"}}} == shard_claim(
        launch()
    )["spec"]
    wa = gateway(shard={"storage": {"storageClassName": "fast", "accessMode": "ReadWriteOnce", "size": "1Gi"}})
    assert {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    } == shard_claim(launch(wa))["spec"]


def test_a_shard_that_hangs_is_seen_by_the_time_of_its_lock(tmp_path: Path) -> None:
    """The command as the node runs it, on a store of this machine: fresh, too old, missing."""
    probe = container(shard_pod(launch()))["livenessProbe"]
    command = [part.replace("/var/lib/ponton/store", str(tmp_path)) for part in probe["exec"]["command"]]

    def alive() -> bool:
        return 0 == subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode

    assert not alive()
    lock = tmp_path / "lock"
    lock.touch()
    assert alive()
    os.utime(lock, (time.time() - 31, time.time() - 31))
    assert not alive()
    assert probe["initialDelaySeconds"] >= 30
