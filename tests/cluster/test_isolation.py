"""What a shard's pod may reach: its servers and WhatsApp, and nothing that a hundred probes look for.

The other half is what its Secret opens for somebody who has copied it: nothing of another owner, and nothing at all
once the account has gone on.
"""

import json
from collections.abc import Iterator
from copy import deepcopy

import pytest

from tests.cluster import box_kit, probes
from tests.cluster.box.layout import METADATA_ADDRESS, PUBLIC_ADDRESS
from tests.cluster.forwards import forwarded
from tests.cluster.reach import Cluster, Object, until
from tests.cluster.release import DOMAIN, FULL, GATEWAY, Release, installed, usual
from tests.cluster.rogue import Rogue

OPEN = "open"  # a gateway whose shards reach WhatsApp without a proxy
START = 90.0  # seconds for a pod of an account


@pytest.fixture(scope="module")
def release(node_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with all that it bundles, a second gateway without a proxy, and an account on each."""
    if node_cluster.box is None:
        pytest.skip("the addresses that are tried are those of our own cluster")
    with installed(node_cluster, tmp_path_factory.mktemp("release"), ["ann", "ben", "cem"]) as made:
        node_cluster.apply(_open_gateway(made))
        made.ready(f"bg/{OPEN}")
        for owner, gateway in (("ann", OPEN), ("ben", OPEN), ("cem", GATEWAY)):
            node_cluster.apply(made.account(owner, gatewayRef={"name": gateway}))
        for owner in ("ann", "ben", "cem"):
            until(f"a shard of {owner}", lambda owner=owner: _running(made, owner), START)  # type: ignore[misc]
        yield made


def _open_gateway(release: Release) -> Object:
    """The sandbox's gateway without its proxy: on the domain that the bundled Prosody has for a true one."""
    spec = deepcopy(release.get("bg", GATEWAY)["spec"])
    spec["domain"] = f"whatsapp.{DOMAIN}"
    spec["shard"]["image"] = ":".join(usual()["images"]["bridge"][key] for key in ("repository", "tag"))
    del spec["shard"]["egress"], spec["network"]["proxy"]
    metadata = {"name": OPEN, "namespace": release.namespace}
    return {"apiVersion": "ponton.im/v1alpha1", "kind": "BridgeGateway", "metadata": metadata, "spec": spec}


def _running(release: Release, account: str) -> bool:
    return [pod["status"].get("phase") for pod in release.pods(account)] == ["Running"]


def _tried(release: Release, account: str, *tries: probes.Probe) -> set[str]:
    """Run probes in the pod of an account; gives the names of those that succeed."""
    (pod,) = release.pods(account)
    return _inside(release, pod["metadata"]["name"], *tries)


def _inside(release: Release, pod: str, *tries: probes.Probe) -> set[str]:
    line = ("exec", pod, "--", "/opt/ponton/bin/python", "-c", probes.PROGRAM)
    return set(json.loads(release.kubectl(*line, probes.as_argument(tries))))


def test_of_a_hundred_probes_from_a_shard_none_succeeds(release: Release) -> None:
    """While WhatsApp's ports on a public address answer, and Prosody and Redis as the account itself."""
    assert release.cluster.box
    (other,) = release.pods("ben")
    tries = probes.forbidden(release, other)
    assert len(tries) >= 100
    host = f"{GATEWAY.removesuffix('-sandbox')}-xmpp.{release.namespace}.svc"
    own = ("XADD", f"ponton:{OPEN}:states", "*", "x", "y")
    allowed = [
        *(probes.Probe(f"WhatsApp:{port}", "tcp", PUBLIC_ADDRESS, port) for port in probes.WHATSAPP),
        probes.Probe("Prosody", "tcp", host, 5349),
        probes.Probe("upload", "tcp", host, 5281),
        probes.Probe("Redis", "redis", "/run/ponton/redis-url", 0, own),
    ]
    box = release.cluster.box
    with (
        box_kit.listening(box, PUBLIC_ADDRESS, 443),
        box_kit.listening(box, PUBLIC_ADDRESS, 5222),
        box_kit.listening(box, PUBLIC_ADDRESS, 80),
        box_kit.listening(box, METADATA_ADDRESS, 80),
        box_kit.listening(box, METADATA_ADDRESS, 443),
    ):
        assert {probe.name for probe in allowed} == _tried(release, "ann", *tries, *allowed)


def test_the_probes_find_what_is_open(release: Release) -> None:
    """From a pod that no policy binds many succeed: they can."""
    assert release.cluster.box
    (other,) = release.pods("ben")
    tries = [probe for probe in probes.forbidden(release, other) if probe.kind == "tcp"]
    free = box_kit.pod(release.namespace, "free", usual()["images"]["bridge"]["repository"] + ":test")
    free["spec"]["containers"][0]["command"][0] = "/opt/ponton/bin/python"
    box_kit.run(release.cluster, free)
    with box_kit.listening(release.cluster.box, METADATA_ADDRESS, 80):
        found = _inside(release, "free", *tries)
    assert {"API service:443", "node:6443", "node:10250", f"metadata:{80}"} <= found


def test_a_shard_behind_a_proxy_reaches_whatsapp_through_it_alone(release: Release) -> None:
    """No public address answers it; the proxy does."""
    assert release.cluster.box
    proxy = probes.Probe("proxy", "tcp", f"{GATEWAY}.{release.namespace}.svc", 8080)
    direct = [probes.Probe(f"public:{port}", "tcp", PUBLIC_ADDRESS, port) for port in probes.WHATSAPP]
    with (
        box_kit.listening(release.cluster.box, PUBLIC_ADDRESS, 443),
        box_kit.listening(release.cluster.box, PUBLIC_ADDRESS, 5222),
    ):
        assert {"proxy"} == _tried(release, "cem", proxy, *direct)


async def test_a_copied_secret_opens_nothing_of_another_owner_and_nothing_after_the_next_epoch(
    release: Release,
) -> None:
    """While it is of the running epoch it is the account's own; afterwards 100 of 100 tries are refused."""
    (pod,) = release.pods("cem")
    epoch = int(pod["metadata"]["annotations"]["ponton.im/epoch"])
    copied = release.secret(pod["metadata"]["name"])
    own, theirs = (f"ponton:{GATEWAY}:a:{account}:fence" for account in ("cem", "ann"))
    with (
        forwarded(release.cluster, release.namespace, f"svc/{FULL}-xmpp", 5349) as (shards,),
        forwarded(release.cluster, release.namespace, f"svc/{FULL}-redis", 6379) as (redis,),
    ):
        rogue = Rogue(release, copied, shards, redis)
        assert ["not-authorized"] * 3 == [
            await rogue.stream("ann", epoch),
            await rogue.stream("cem", epoch + 1),
            await rogue.stream("cem", epoch - 1),
        ]
        assert ["", "NoPermissionError"] == [await rogue.command("GET", own), await rogue.command("GET", theirs)]

        release.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=true")
        until("the next epoch", lambda: _epoch(release, "cem") > epoch, START)
        until("its shard", lambda: _running(release, "cem"), START)
        until("its stream", lambda: release.condition("ba/cem", "XMPPConnected")[0] == "True", START)
        # Its own stream with its own epoch: the fence holds although the secret is right for that epoch.
        assert {"conflict"} == {await rogue.stream("cem", epoch) for _ in range(50)}
        writes = [("SET", own, "1"), ("DEL", own), ("GET", own), ("XADD", f"ponton:{GATEWAY}:states", "*", "x", "y")]
        assert {"AuthenticationError"} == {await rogue.command(*writes[n % len(writes)]) for n in range(50)}
    assert _running(release, "cem")


def _epoch(release: Release, account: str) -> int:
    epochs = [int(pod["metadata"]["annotations"]["ponton.im/epoch"]) for pod in release.pods(account)]
    return max(epochs, default=0)
