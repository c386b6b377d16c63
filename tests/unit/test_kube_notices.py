"""Events on the cluster: few, once in a while, and without names."""

import json
from typing import Any, cast

import pytest

from ponton_bridge.model.states import Reason
from ponton_operator.cluster import kube_notices
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Unavailable
from ponton_operator.cluster.kube_notices import AGAIN, NOTABLE, Notices
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.conditions import KNOWN, Own, sentence_of


class Box:
    """Takes what is created, or is away."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.away = False

    async def create(self, _kind: object, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what KubeApi.create does."""
        if self.away:
            raise Unavailable
        assert namespace == body["metadata"]["namespace"]
        self.made.append(body)
        return body


def account(reason: str, uid: str = "u") -> BridgeAccount:
    """Make an account with a reason."""
    return BridgeAccount.model_validate(
        {
            "metadata": {"name": "acc-1", "namespace": "ns", "uid": uid},
            "spec": {"owner": "canary@example.test", "gatewayRef": {"name": "wa"}},
            "status": {"reason": reason},
        }
    )


@pytest.fixture
def now() -> list[float]:
    """The time, which a test moves."""
    return [1_800_000_000.0]


def notices(box: Box, now: list[float]) -> Notices:
    """Make them."""
    return Notices(cast("KubeApi", box), lambda: now[0])


async def test_what_a_person_must_know_is_an_event(now: list[float]) -> None:
    """With the reason and its sentence, about the account, and without its owner."""
    box = Box()
    await notices(box, now).changed(account("Banned"), "Connected")
    [event] = box.made
    assert ("Banned", "Warning", sentence_of("Banned")) == (event["reason"], event["type"], event["message"])
    assert ("BridgeAccount", "acc-1", "u") == tuple(event["involvedObject"][key] for key in ("kind", "name", "uid"))
    assert "2027-01-15T08:00:00Z" == event["firstTimestamp"]
    assert "canary" not in json.dumps(event)


async def test_one_of_a_kind_in_an_hour(now: list[float]) -> None:
    """A loop of crashes is one event; another reason, or another account, is another."""
    box = Box()
    told = notices(box, now)
    for _ in range(5):
        await told.changed(account("Crashing"), "Connected")
        await told.changed(account("Connected"), "Crashing")
        now[0] += 60.0
    await told.changed(account("OutOfMemory"), "Crashing")
    await told.changed(account("Crashing", uid="v"), "Connected")
    assert ["Crashing", "OutOfMemory", "Crashing"] == [event["reason"] for event in box.made]
    now[0] += AGAIN
    await told.changed(account("Crashing"), "Connected")
    assert 4 == len(box.made)


async def test_the_rest_is_none(now: list[float]) -> None:
    """What owners do and what passes by itself is not worth an event."""
    box = Box()
    for reason in sorted(KNOWN - NOTABLE):
        await notices(box, now).changed(account(reason), "Other")
    await notices(box, now).changed(account("Banned"), "Banned")
    assert [] == box.made
    assert {Reason.BANNED, Reason.STALE_STORE, Own.QUOTA_FULL, Own.IMAGE_UNAVAILABLE} <= NOTABLE <= KNOWN


async def test_a_cluster_that_is_away_holds_up_nobody(now: list[float]) -> None:
    """The event is lost, no more."""
    box = Box()
    box.away = True
    await notices(box, now).changed(account("Banned"), "Connected")
    assert [] == box.made


async def test_what_was_told_is_forgotten_in_the_end(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is bounded; the oldest goes first."""
    monkeypatch.setattr(kube_notices, "KEPT", 3)
    box = Box()
    told = notices(box, now)
    for number in range(10):
        await told.changed(account("Banned", uid=str(number)), "Connected")
    assert 3 == len(told._told)
    await told.changed(account("Banned", uid="9"), "Connected")
    assert 10 == len(box.made)
