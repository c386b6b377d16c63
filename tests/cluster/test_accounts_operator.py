"""The accounts operator on a real API server: what it writes, may, leaves; and that it may be killed."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cluster import servers
from tests.cluster.box import audit
from tests.cluster.operator_kit import RBAC, SECONDS, Bed, bed
from tests.cluster.pod_lives import overlaps
from tests.cluster.reach import Cluster, until
from tests.cluster.relay import relay
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
def there(here: Bed, prosody: tuple[int, list[bytes]], redis: RedisServer) -> Iterator[Bed]:
    """Another namespace of the same operator."""
    with here.cluster.namespace() as name:
        made = replace(here, namespace=name)
        made.gateway(prosody[0], redis.port)
        made.grant()
        yield made


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


@pytest.mark.parametrize("first", ["whatever comes", "the rights"])
def test_a_namespace_can_be_removed(here: Bed, first: str) -> None:
    """The finalizers go at once, so the namespace does, too; also when the operator's Role is the first to go."""
    with here.operator() as program:
        here.cluster.apply(*(here.account(f"acc-{number}") for number in range(5)))
        until("pods", lambda: len(here.pods()) == 5, SECONDS)
        if first == "the rights":
            here.revoke()
        here.cluster.kubectl("delete", "namespace", here.namespace, "--timeout=60s")
        assert 5 == program.let_go()
        assert 1 == program.said("operator_works")
    here.cluster.kubectl("create", "namespace", here.namespace)  # whoever made it removes it


def test_a_namespace_without_rights_disturbs_no_other(here: Bed, there: Bed) -> None:
    """Left out and told; served when rights come, without a restart; left out again when they go; removed all the same.

    The connections are cut as an API server ends watches by itself, twice an hour: only a new one is refused.
    """
    there.revoke()
    server = urlsplit(yaml.safe_load(here.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    both = f"{there.namespace},{here.namespace}"
    with relay(server.port or 443) as way, here.operator(
        PONTON_NAMESPACES=both, KUBECONFIG=str(here.kubeconfig(f"https://127.0.0.1:{way.port}"))
    ) as program:  # fmt: skip
        until("it is told", lambda: program.said("namespace_left_out") == 1, SECONDS)
        there.cluster.apply(there.account("acc-2"))
        here.cluster.apply(here.account("acc-1"))
        until("a pod", lambda: here.pods("acc-1"), SECONDS)
        assert f'ponton_namespace_served{{name="{there.namespace}"}} 0.0' in program.metrics()
        assert [] == there.pods()

        there.grant()
        until("a pod there", lambda: there.pods("acc-2"), SECONDS)
        there.cluster.apply(there.account("acc-3"))
        until("what came later", lambda: there.pods("acc-3"), SECONDS)
        assert f'ponton_namespace_served{{name="{there.namespace}"}} 1.0' in program.metrics()
        assert 1 == program.said("namespace_served")

        names = ("acc-2", "acc-3")
        until("rest", lambda: {there.reason(name) for name in names} == {"Unschedulable"}, SECONDS)
        there.revoke()
        way.cut()
        until("it is left out", lambda: program.said("namespace_left_out") == 2, SECONDS)
        here.cluster.apply(here.account("acc-4"))
        until("a pod here", lambda: here.pods("acc-4"), SECONDS)

        there.cluster.kubectl("delete", "namespace", there.namespace, "--timeout=110s")
        assert (1, 0) == (program.said("namespace_let_go"), program.said("namespace_held_up"))
        here.cluster.apply(here.account("acc-5"))
        until("one more", lambda: here.pods("acc-5"), SECONDS)
        assert 1 == program.said("operator_works")
        assert 0 == program.said("plan_failed")


def test_a_gateway_says_that_a_right_is_missing(here: Bed) -> None:
    """Where its status may still be written; the condition goes when the right is back."""

    def missing() -> bool:
        status = here.cluster.get("bg", "wa", "-n", here.namespace).get("status") or {}
        return "RightsMissing" in {one["type"] for one in status.get("conditions", ())}

    role = here.cluster.get("role", here.name, "-n", here.namespace)
    less = [rule for rule in role["rules"] if rule["resources"] != ["pods"]]
    here.cluster.apply(here.named(RBAC, "Role", here.name, rules=less))
    with here.operator() as program:
        until("it is told", missing, SECONDS)
        assert 1 == program.said("namespace_left_out")
        here.grant()
        until("it is told no more", lambda: not missing(), SECONDS)
        here.cluster.apply(here.account("acc-1"))
        until("a pod", lambda: here.pods("acc-1"), SECONDS)


def test_a_namespace_that_nobody_knew_is_told(here: Bed) -> None:
    """An operator that starts when the rights are gone knows no names: it says so, and a person's command helps."""
    here.cluster.apply(here.account("acc-1"))
    here.revoke()
    here.cluster.kubectl("delete", "namespace", here.namespace, "--wait=false")
    with here.operator() as program:
        until("it is told", lambda: program.said("namespace_held_up"), SECONDS)
        here.cluster.kubectl(
            "patch", "ba", "acc-1", "-n", here.namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
        )
        here.cluster.kubectl("wait", "--for=delete", f"namespace/{here.namespace}", "--timeout=60s")
    here.cluster.kubectl("create", "namespace", here.namespace)


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
