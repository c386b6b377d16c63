"""The accounts operator on a real API server: what it writes, may, leaves; and that it may be killed."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import servers
from tests.cluster.box import audit
from tests.cluster.operator_kit import SECONDS, Bed, bed
from tests.cluster.pod_lives import overlaps
from tests.cluster.reach import Cluster, until
from tests.harness.redis import RedisServer


@pytest.fixture
def prosody() -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what it was asked."""
    with servers.prosody() as found:
        yield found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis."""
    with servers.redis(tmp_path) as server:
        yield server


@pytest.fixture
def here(api_cluster: Cluster, tmp_path: Path, prosody: tuple[int, list[bytes]], redis: RedisServer) -> Iterator[Bed]:
    """A restricted namespace with a gateway, its servers, and the operator's rights; pods find no node."""
    if api_cluster.box is None:
        pytest.skip("calls are counted from the audit log of our own cluster")
    with api_cluster.namespace() as name, bed(api_cluster, name, tmp_path) as made:
        made.gateway(prosody[0], redis.port)
        yield made


def allowed(calls: list[audit.Call]) -> bool:
    """Whether nothing was asked for that is not allowed."""
    assert [] == [call for call in calls if call.code == 403]
    return True


def test_a_start_keeps_to_its_rights_and_its_budget(here: Bed) -> None:
    """The pod is taken at the restricted level; five writes from the account to Running, none afterwards."""
    with here.operator():
        here.cluster.apply(here.account("acc-1"))
        until("a pod", lambda: here.pods("acc-1"), SECONDS)
        [pod] = here.pods("acc-1")
        here.runs(pod)
        until(
            "its status",
            lambda: [c for c in here.status("acc-1").get("conditions", ()) if c["reason"] == "ProcessRuns"],
            30,
        )
        until("five writes", lambda: audit.writes(here.calls()) >= 5, 10)
        mine = [
            call
            for call in here.calls()
            if call.verb in audit.WRITES and not call.resource.startswith("bridgegateways")
        ]
        made = sorted((call.verb, call.resource) for call in mine if call.resource != "leases")
        assert [
            ("create", "persistentvolumeclaims"),
            ("create", "pods"),
            ("create", "secrets"),
            ("patch", "bridgeaccounts/status"),
            ("patch", "bridgeaccounts/status"),
        ] == made
        assert pod["metadata"]["name"] == f"acc-1-{here.status('acc-1')['epoch']}"
        before = audit.writes(here.calls())
        time.sleep(12)  # at rest, for longer than any of its rounds
        assert before == audit.writes(here.calls())
        assert allowed(here.calls())


def test_a_pod_without_a_place_says_so(here: Bed) -> None:
    """No node, a wrong image, a loop of crashes: reason, condition, one event each."""
    with here.operator():
        here.cluster.apply(here.account("acc-1"))
        until("no node", lambda: here.reason("acc-1") == "Unschedulable", SECONDS)
        [pod] = here.pods("acc-1")
        waiting = {"name": "shard", "ready": False, "restartCount": 0, "image": "i", "imageID": ""}
        for why, reason in (("ErrImagePull", "ImageUnavailable"), ("CrashLoopBackOff", "Crashing")):
            state = waiting | {"state": {"waiting": {"reason": why}}}
            here.say(pod, {"phase": "Running", "containerStatuses": [state]})  # so that the scheduler lets it be
            until(reason, lambda reason=reason: here.reason("acc-1") == reason, 30)  # type: ignore[misc]  # bound now
        told = [event["reason"] for event in here.cluster.get("events", "-n", here.namespace)["items"]
                if event["involvedObject"]["kind"] == "BridgeAccount"]  # fmt: skip
        assert ["Crashing", "ImageUnavailable", "Unschedulable"] == sorted(told)
        assert 1 == len(here.pods("acc-1"))
        assert allowed(here.calls())


def test_a_full_quota_is_waited_for(here: Bed) -> None:
    """The pod is made under the same epoch when there is room."""
    here.cluster.apply(here.named("v1", "ResourceQuota", "none", spec={"hard": {"pods": "0"}}))
    with here.operator():
        until(
            "the quota counts",
            lambda: here.cluster.get("quota", "none", "-n", here.namespace).get("status", {}).get("hard"),
            30,
        )
        here.cluster.apply(here.account("acc-1"))
        until("no room", lambda: here.reason("acc-1") == "QuotaFull", SECONDS)
        epoch = here.status("acc-1")["epoch"]
        here.cluster.kubectl("delete", "quota", "none", "-n", here.namespace)
        until("a pod", lambda: here.pods("acc-1"), SECONDS)
        assert [f"acc-1-{epoch}"] == [pod["metadata"]["name"] for pod in here.pods("acc-1")]


def test_a_deletion_leaves_nothing(here: Bed, prosody: tuple[int, list[bytes]]) -> None:
    """Pod, Secret, claim and account go, Prosody is told; a twin that waited gets its turn."""
    with here.operator():
        here.cluster.apply(here.account("acc-1", "alice@example.test"))
        until("a pod", lambda: here.pods("acc-1"), SECONDS)
        time.sleep(1.1)  # creation times are whole seconds
        here.cluster.apply(here.account("acc-2", "alice@example.test"))
        until("a twin", lambda: here.reason("acc-2") == "Duplicate", SECONDS)
        here.cluster.kubectl("delete", "ba", "acc-1", "-n", here.namespace, "--timeout=60s")
        until("the twin's pod", lambda: here.pods("acc-2"), SECONDS)
        until(
            "nothing of it is left",
            lambda: not [n for n in here.names("secrets,pods,pvc") if n.startswith("acc-1")],
            30,
        )
        assert any(b'"release"' in body for body in prosody[1])
        assert allowed(here.calls())


def test_a_namespace_can_be_removed(here: Bed) -> None:
    """The finalizers go at once, so the namespace does, too."""
    with here.operator():
        here.cluster.apply(*(here.account(f"acc-{number}") for number in range(5)))
        until("pods", lambda: len(here.pods()) == 5, SECONDS)
        here.cluster.kubectl("delete", "namespace", here.namespace, "--timeout=60s")
    here.cluster.kubectl("create", "namespace", here.namespace)  # whoever made it removes it


@pytest.mark.timeout(900)
def test_an_operator_that_is_killed_makes_no_second_pod(here: Bed) -> None:
    """Killed while 20 accounts start, end and change: each ends up with one pod, and never had two."""
    rng = random.Random(5)
    names = [f"acc-{number}" for number in range(20)]
    with here.operator() as program:
        here.cluster.apply(*(here.account(name) for name in names))
        for _ in range(3):
            time.sleep(rng.uniform(0.0, 1.5))
            program.kill()
            for pod in rng.sample(here.pods(), min(3, len(here.pods()))):
                here.cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", here.namespace, "--wait=false")
            stopped = rng.choice(names)
            here.cluster.apply(here.account(stopped, desired="Stopped"))
            program.start()
            here.cluster.apply(here.account(stopped, desired="Running"))

        def one_each() -> bool:
            per = defaultdict(list)
            for pod in here.pods():
                per[pod["metadata"]["labels"]["ponton.im/account"]].append(pod)
            return sorted(per) == sorted(names) and all(len(pods) == 1 for pods in per.values())

        until("one pod each", one_each, 120)
        assert allowed(here.calls())
    assert here.cluster.box
    calls = audit.calls(here.cluster.box.folder.audit_log, here.since)
    assert [] == overlaps(call for call in calls if call.namespace == here.namespace)
