"""What fails around an account on a real node: the right reason in words, and recovery by itself once it is mended."""

import json
import os
import signal
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.reach import Cluster, Object, until
from tests.cluster.release import DOMAIN, FULL, GATEWAY, Release, installed
from tests.cluster.scene import processes

TRIAL = "trial"  # a gateway whose template is spoilt
HUNG = 240.0  # seconds: a minute without probes, three that fail, 30 s for the process to end, then KILL
LOST = 180.0  # seconds; a node counts as lost after 50 without a word
SEEN = 90.0  # seconds until a trouble is shown, or over


@pytest.fixture(scope="module")
def release(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with all that it bundles, and a second gateway to be spoilt."""
    with installed(node_cluster, tmp_path_factory.mktemp("release"), ["ann"]) as made:
        node_cluster.apply(trial(made))
        made.ready(f"bg/{TRIAL}")
        yield made


def trial(release: Release) -> Object:
    """The sandbox's gateway once more, on the other domain that the bundled Prosody serves."""
    spec = deepcopy(release.get("bg", GATEWAY)["spec"])
    spec["domain"] = f"whatsapp.{DOMAIN}"
    metadata = {"name": TRIAL, "namespace": release.namespace}
    return {"apiVersion": "ponton.im/v1alpha1", "kind": "BridgeGateway", "metadata": metadata, "spec": spec}


@pytest.fixture
def account(release: Release, request: pytest.FixtureRequest) -> Iterator["Account"]:
    """An account of the trial gateway, named after the test; deleted afterwards."""
    made = Account(release, "a" + str(abs(hash(request.node.name)) % 10**8))
    yield made
    made.end()


class Account:
    """One account, and what is shown of it."""

    def __init__(self, release: Release, name: str, gateway: str = TRIAL) -> None:
        self.release, self.name, self.gateway = release, name, gateway

    def make(self) -> None:
        """Make it."""
        self.release.cluster.apply(self.release.account(self.name, gatewayRef={"name": self.gateway}))

    def end(self) -> None:
        """Delete it, if it is there."""
        self.release.kubectl("delete", "ba", self.name, "--ignore-not-found", "--timeout=60s")

    def has_its_stream(self) -> None:
        """Wait until its shard is connected to Prosody."""
        until("its stream", lambda: self.release.condition(f"ba/{self.name}", "XMPPConnected")[0] == "True", SEEN)

    def shows(self, reason: str, seconds: float = SEEN) -> None:
        """Wait until its reason is this one, that a condition has it and a sentence is beside it."""

        def shown() -> bool:
            status = self.release.get("ba", self.name).get("status", {})
            conditions = {one["reason"]: one["message"] for one in status.get("conditions", [])}
            return status.get("reason") == reason and bool(conditions.get(reason))

        until(f"the reason {reason}", shown, seconds)

    def runs(self) -> None:
        """Wait until its one pod runs."""

        def running() -> bool:
            return ["Running"] == [pod["status"].get("phase") for pod in self.release.pods(self.name)]

        until(f"a running pod of {self.name}", running, SEEN)


@dataclass(frozen=True)
class Hung:
    """A shard whose process was stopped."""

    account: Account
    pod: Object

    def restarts(self) -> int:
        """How often its container was started anew, in the same pod."""
        (same,) = self.account.release.pods(self.account.name)
        assert self.pod["metadata"]["uid"] == same["metadata"]["uid"]
        return int(same["status"]["containerStatuses"][0]["restartCount"])


@pytest.fixture(scope="module", autouse=True)
def hung(release: Release) -> Iterator[Hung | None]:
    """A shard of the sandbox's own gateway that hangs from the beginning: its end takes minutes of waiting."""
    if release.cluster.box is None:
        yield None
        return
    account = Account(release, "hung", GATEWAY)
    account.make()
    account.runs()
    account.has_its_stream()
    (pod,) = release.pods(account.name)
    (pid,) = processes(pod["metadata"]["uid"], "shard")
    os.kill(pid, signal.SIGSTOP)
    yield Hung(account, pod)
    account.end()


def patched(release: Release, **spec: Any) -> None:  # noqa: ANN401  # parts of a gateway
    """Change the trial gateway."""
    release.kubectl("patch", "bg", TRIAL, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_an_image_that_cannot_be_had(release: Release, account: Account) -> None:
    """The right image in the gateway is all that has to be done."""
    right = release.get("bg", TRIAL)["spec"]["shard"]["image"]
    patched(release, shard={"image": "localhost/nothing:none"})
    account.make()
    account.shows("ImageUnavailable")
    patched(release, shard={"image": right})
    account.runs()


def test_a_storage_class_that_does_not_exist(release: Release, account: Account) -> None:
    """The account waits for its volume until somebody makes the class."""
    patched(release, shard={"storage": {"storageClassName": "later"}})
    account.make()
    account.shows("VolumePending")
    known = release.cluster.get("storageclass")["items"][0]
    later = {key: known[key] for key in ("apiVersion", "kind", "provisioner", "volumeBindingMode")}
    release.cluster.apply({**later, "metadata": {"name": "later"}})
    account.runs()
    patched(release, shard={"storage": {"storageClassName": None}})
    release.kubectl("delete", "storageclass", "later")


def test_a_quota_that_is_used_up(release: Release, account: Account) -> None:
    """The pod is made when there is room again."""
    full = {"pods": str(len(release.get("pods")["items"]))}
    metadata = {"name": "full", "namespace": release.namespace}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": full}}
    release.cluster.apply(quota)
    until("the quota counts", lambda: release.get("quota", "full").get("status", {}).get("used"), SEEN)
    account.make()
    account.shows("QuotaFull")
    release.kubectl("delete", "quota", "full")
    account.runs()


def test_a_node_without_room(release: Release, account: Account) -> None:
    """A smaller request in the gateway, and the pod finds its place."""
    patched(release, shard={"resources": {"cpuRequest": "900"}})
    account.make()
    account.shows("Unschedulable")
    patched(release, shard={"resources": {"cpuRequest": "20m"}})
    account.runs()


def test_a_gateway_whose_secret_is_missing(release: Release, account: Account) -> None:
    """The account says that the gateway is not ready, the gateway says what it lacks; both recover with the Secret."""
    master = release.get("bg", TRIAL)["spec"]["secrets"]["masterRef"]
    patched(release, secrets={"masterRef": {"name": "not-yet", "key": "master"}})
    account.make()
    account.shows("GatewayNotReady")
    assert "False" == release.condition(f"bg/{TRIAL}", "Ready")[0]
    assert any("not-yet" in one for one in release.get("bg", TRIAL)["status"]["problems"])
    metadata = {"name": "not-yet", "namespace": release.namespace}
    secret = release.secret(master["name"])[master["key"]]
    release.cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"master": secret}}
    )
    account.runs()
    release.ready(f"bg/{TRIAL}")
    patched(release, secrets={"masterRef": master})


def test_a_shard_that_hangs(hung: Hung | None) -> None:
    """Its node ends it by the liveness probe and starts it anew, in the same pod."""
    if hung is None:
        pytest.skip("a process can be stopped on our own node only")
    until("a second container", lambda: hung.restarts() == 1, HUNG)
    hung.account.has_its_stream()


@pytest.mark.parametrize(("server", "condition"), [("redis", "RedisReachable"), ("xmpp", "ProsodyReachable")])
def test_a_server_that_is_away_for_a_while(release: Release, account: Account, server: str, condition: str) -> None:
    """The gateway says which one; no shard is ended for it, and everything comes back."""
    account.make()
    account.runs()
    (before,) = release.pods(account.name)
    release.kubectl("scale", "sts", f"{FULL}-{server}", "--replicas=0")
    until(f"{condition} is False", lambda: release.condition(f"bg/{TRIAL}", condition)[0] == "False", SEEN)
    assert "False" == release.condition(f"bg/{TRIAL}", "Ready")[0]
    (meanwhile,) = release.pods(account.name)
    assert before["metadata"]["uid"] == meanwhile["metadata"]["uid"]
    release.kubectl("scale", "sts", f"{FULL}-{server}", "--replicas=1")
    release.ready(f"bg/{TRIAL}")
    account.runs()


def test_a_node_that_is_lost(release: Release, account: Account) -> None:
    """Nobody knows whether its shard runs, so no second one is started; the account goes on when the node is back."""
    box = release.cluster.box
    if box is None:
        pytest.skip("a kubelet can be stopped on our own node only")
    account.make()
    account.runs()
    (pod,) = release.pods(account.name)
    kubelet = box.process("kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        account.shows("WaitingForNode", LOST)
        assert [pod["metadata"]["uid"]] == [one["metadata"]["uid"] for one in release.pods(account.name)]
    finally:
        os.kill(kubelet, signal.SIGCONT)
    until("no trouble", lambda: release.get("ba", account.name)["status"]["reason"] != "WaitingForNode", LOST)
    account.runs()
    release.ready(f"bg/{TRIAL}", LOST)
