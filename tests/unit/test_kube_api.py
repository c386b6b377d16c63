"""The one wrapper of the Kubernetes client: paths, bodies, typed errors, deadlines, pace."""

import asyncio
import threading
import time
from typing import Any

import pytest

from ponton_operator.cluster.kube_api import Client, KubeApi
from ponton_operator.cluster.kube_errors import Conflict, Forbidden, Invalid, KubeError, NotFound, Unavailable, error_of
from ponton_operator.cluster.kube_kinds import ACCOUNTS, NODES, PODS, SECRETS
from tests.harness.kube_server import KubeServer, kube_server


def refusal(reason: str, message: str = "", **details: Any) -> dict[str, Any]:  # noqa: ANN401  # a metav1.Status
    """Give the body of an error as the API server writes it."""
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details}


def api(server: KubeServer, writes: float = 0.0) -> KubeApi:
    """Give the wrapper of a server."""
    return KubeApi(Client(server.client()), writes)


async def test_reads_are_plain_objects_at_the_right_path() -> None:
    """A get and a create give what the server answered; the path is built of group, namespace, plural, name."""
    with kube_server((200, {"metadata": {"name": "p"}}), (201, {"metadata": {"uid": "u"}})) as server:
        assert {"metadata": {"name": "p"}} == await api(server).get(PODS, "wa", "p")
        assert {"metadata": {"uid": "u"}} == await api(server).create(SECRETS, "wa", {"kind": "Secret"})
        assert ("GET", "/api/v1/namespaces/wa/pods/p") == (server.asked[0].method, server.asked[0].path)
        assert ("POST", "/api/v1/namespaces/wa/secrets") == (server.asked[1].method, server.asked[1].path)
        assert {"kind": "Secret"} == server.asked[1].body


async def test_a_patch_is_a_merge_of_the_subresource() -> None:
    """The status is patched apart, by the rules of a JSON merge patch; apply says who owns the fields."""
    with kube_server() as server:
        await api(server).patch(ACCOUNTS, "wa", "acc-1", {"status": {"epoch": 7}}, "status")
        await api(server).apply(SECRETS, "wa", "s", {"kind": "Secret"}, "ponton")
        merge, apply = server.asked
        assert "/apis/ponton.im/v1alpha1/namespaces/wa/bridgeaccounts/acc-1/status" == merge.path
        assert ("PATCH", "application/merge-patch+json") == (merge.method, merge.headers["Content-Type"])
        assert "application/apply-patch+yaml" == apply.headers["Content-Type"]
        assert "/api/v1/namespaces/wa/secrets/s?fieldManager=ponton&force=true" == apply.path


async def test_a_resize_merges_by_the_name_of_the_container() -> None:
    """Other containers, and what else the pod says, stay; a server without the subresource takes no such call."""
    with kube_server((200, {}), (405, refusal("MethodNotAllowed"))) as server:
        await api(server).resize("wa", "p", "shard", {"limits": {"memory": "1Gi"}})
        asked = server.asked[0]
        assert ("PATCH", "/api/v1/namespaces/wa/pods/p/resize") == (asked.method, asked.path)
        assert "application/strategic-merge-patch+json" == asked.headers["Content-Type"]
        assert [{"name": "shard", "resources": {"limits": {"memory": "1Gi"}}}] == asked.body["spec"]["containers"]
        with pytest.raises(Invalid):
            await api(server).resize("wa", "p", "shard", {})


async def test_a_long_list_comes_in_pages() -> None:
    """The next page is asked for by the word that the last one ended with; names only when asked so."""
    first = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}}
    with kube_server((200, first), (200, {"items": [{"metadata": {"name": "b"}}]})) as server:
        found = [item async for page in api(server).pages(PODS, labels="x=y", names_only=True) for item in page]
        assert ["a", "b"] == [item["metadata"]["name"] for item in found]
        assert "/api/v1/pods?limit=500&labelSelector=x%3Dy" == server.asked[0].path
        assert "continue=more" in server.asked[1].path
        assert "PartialObjectMetadataList" in server.asked[0].headers["Accept"]


async def test_deleting_what_is_gone_is_no_error() -> None:
    """Gives whether there was one; the uid keeps it from hitting a namesake."""
    with kube_server((200, {}), (404, refusal("NotFound"))) as server:
        assert await api(server).delete(PODS, "wa", "p", uid="u", grace=0)
        assert not await api(server).delete(PODS, "wa", "p")
        assert {"uid": "u"} == server.asked[0].body["preconditions"]
        assert 0 == server.asked[0].body["gracePeriodSeconds"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, refusal("NotFound"), NotFound),
        (409, refusal("AlreadyExists"), Conflict),
        (409, refusal("Conflict"), Conflict),
        (403, refusal("Forbidden"), Forbidden),
        (422, refusal("Invalid"), Invalid),
        (400, refusal("BadRequest"), Invalid),
        (401, refusal("Unauthorized"), Unavailable),
        (410, refusal("Expired"), Unavailable),
        (429, refusal("TooManyRequests"), Unavailable),
        (500, b"oops", Unavailable),
        (503, ["no", "object"], Unavailable),
        (200, ["no", "object"], Unavailable),
    ],
)
async def test_errors_are_typed_by_what_can_be_done(status: int, body: Any, kind: type[KubeError]) -> None:  # noqa: ANN401
    """Whatever the server says becomes one of five errors."""
    with kube_server((status, body)) as server, pytest.raises(kind):
        await api(server).get(PODS, "wa", "p")


def test_what_kind_of_no_is_told_apart() -> None:
    """Exists already; quota used up; namespace going: each has its own next step."""
    assert getattr(error_of(409, refusal("AlreadyExists")), "exists")  # noqa: B009  # its class is asserted above
    quota = error_of(403, refusal("Forbidden", "pods is forbidden: exceeded quota: small, requested: pods=1"))
    going = error_of(403, refusal("Forbidden", "x", causes=[{"reason": "NamespaceTerminating"}]))
    assert isinstance(quota, Forbidden)
    assert isinstance(going, Forbidden)
    assert (True, False) == (quota.quota, quota.terminating)
    assert (False, True) == (going.quota, going.terminating)


def test_the_servers_words_are_not_shown() -> None:
    """A refusal may quote what people wrote; our sentence holds the reason only."""
    error = error_of(422, refusal("Invalid", 'spec.owner: Invalid value: "alice@example.org"'))
    assert "alice" not in error.sentence
    assert "Invalid" in error.sentence


async def test_nobody_there_is_unavailable() -> None:
    """A connection that is refused is no crash."""
    with kube_server() as server:
        gone = api(server)
    with pytest.raises(Unavailable):
        await gone.get(PODS, "wa", "p")


async def test_a_call_that_hangs_ends_by_its_deadline() -> None:
    """Every call has a timeout."""
    with kube_server() as server:
        server.hang = threading.Event()
        with pytest.raises(Unavailable):
            await asyncio.to_thread(Client(server.client()).call, "get", PODS, "/api/v1/pods", seconds=0.2)


async def test_every_call_is_counted() -> None:
    """By verb, resource and result, for the metrics."""
    counted: list[tuple[str, str, str]] = []
    with kube_server((200, {}), (404, refusal("NotFound"))) as server:
        wrapped = KubeApi(Client(server.client(), lambda verb, what, result, _: counted.append((verb, what, result))))
        await wrapped.get(PODS, "wa", "p")
        assert await wrapped.find(NODES, "", "n") is None
        assert [("get", "pods", "ok"), ("get", "nodes", "NotFound")] == counted
        assert "/api/v1/nodes/n" == server.asked[1].path


async def test_writes_keep_their_pace() -> None:
    """So many a second, after a burst of half a second's worth; reads do not wait."""
    with kube_server() as server:
        paced = api(server, writes=50.0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(75):
            await paced.create(PODS, "wa", {"kind": "Pod"})
        assert loop.time() - began >= 49 / 50


async def test_a_loop_that_was_late_does_not_let_all_writes_go_at_once() -> None:
    """Those whose time has passed meanwhile take turns again: the server is not asked for more than it promises."""
    with kube_server() as server:
        paced = api(server, writes=50.0)
        writing = [asyncio.create_task(paced.create(PODS, "wa", {"kind": "Pod"})) for _ in range(150)]
        await asyncio.sleep(0.1)
        time.sleep(2.0)  # noqa: ASYNC251  # the loop is late
        before = len(server.asked)
        began = asyncio.get_running_loop().time()
        await writing[99]
        waited = asyncio.get_running_loop().time() - began
        assert len(server.asked) - before <= 25 + waited * 50 + 2
        for each in writing:
            each.cancel()


async def test_how_late_writes_are_is_known() -> None:
    """Starts give way by it."""
    with kube_server() as server:
        paced = api(server, writes=20.0)
        assert 0.0 == paced.late()
        writing = [asyncio.create_task(paced.create(PODS, "wa", {"kind": "Pod"})) for _ in range(60)]
        await asyncio.sleep(0)  # all have asked for their turn
        assert 2.25 < paced.late() <= 2.85
        for each in writing:
            each.cancel()
        assert 0.0 == api(server, writes=0.0).late()


async def test_a_group_that_is_not_served_is_told() -> None:
    """The operator asks before it starts, since kopf would wait without a word."""
    with kube_server((404, b"404 page not found"), (200, {"kind": "APIResourceList"})) as server:
        assert not await api(server).served("ponton.im/v1alpha1")
        assert await api(server).served("ponton.im/v1alpha1")
        assert "/apis/ponton.im/v1alpha1" == server.asked[0].path
