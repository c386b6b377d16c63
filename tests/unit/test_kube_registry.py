"""What is held of a cluster: newer words count, late ones do not, and an end stays known until it is recorded."""

from dataclasses import replace

import pytest

from ponton_operator.cluster import kube_registry
from ponton_operator.cluster.kube_registry import Accounts, Pods
from ponton_operator.plan.pods import Pod
from ponton_operator.plan.values import Process
from ponton_operator.resources.account import BridgeAccount

NOW = 1_800_000_000.0
HERE = ("ns", "acc-1")


def account(
    name: str = "acc-1", version: int = 1, uid: str = "u", owner: str = "a@x.test", **spec: object
) -> BridgeAccount:
    """Make an account as it was seen."""
    made = f"2026-11-23T00:00:0{name[-1]}Z"
    return BridgeAccount.model_validate(
        {
            "metadata": {"name": name, "uid": uid, "resourceVersion": str(version), "creationTimestamp": made},
            "spec": {"owner": owner, "gatewayRef": {"name": "wa"}, **spec},
        }
    )


def pod(epoch: int = 5, version: int = 1, uid: str = "p", *, told: bool = False) -> Pod:
    """Make a pod as it was seen."""
    seen = Process(epoch, told=told)
    return Pod("ns", f"acc-1-{epoch}", uid, "acc-1", "wa", "n1", "r", "t", version, seen)


def test_news_of_an_account_is_planned() -> None:
    """A new one, a changed one; not the same again, nor an older word that comes late."""
    accounts = Accounts()
    assert {"acc-1"} == accounts.put(account(version=5), NOW)
    assert set() == accounts.put(account(version=5), NOW)
    assert {"acc-1"} == accounts.put(account(version=7, wake=2), NOW)
    assert set() == accounts.put(account(version=6, wake=1), NOW)
    assert 2 == accounts.held["acc-1"].account.spec.wake


def test_a_late_word_of_one_that_is_gone_brings_it_not_back() -> None:
    """Its deletion would begin again, with all its steps; another resource of the name is another account."""
    accounts = Accounts()
    accounts.put(account(version=5), NOW)
    accounts.drop("acc-1")
    assert set() == accounts.put(account(version=6), NOW)
    assert {} == accounts.held
    assert {"acc-1"} == accounts.put(account(version=7, uid="other"), NOW)


def test_of_those_that_are_gone_not_all_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first: no watch is that late."""
    monkeypatch.setattr(kube_registry, "GONE", 1)
    accounts = Accounts()
    for uid in ("u1", "u2"):
        accounts.put(account(uid=uid), NOW)
        accounts.drop("acc-1")
    assert set() == accounts.put(account(uid="u2"), NOW)
    assert {"acc-1"} == accounts.put(account(uid="u1"), NOW)


def test_what_was_seen_besides_stays_with_the_account() -> None:
    """A change of the resource does not lose the state; another resource of the name begins anew."""
    accounts = Accounts()
    accounts.put(account(version=5), NOW)
    accounts.held["acc-1"].permit = True
    accounts.put(account(version=6), NOW)
    assert accounts.held["acc-1"].permit
    accounts.put(account(version=9, uid="other"), NOW)
    assert not accounts.held["acc-1"].permit


def test_twins_are_planned_together() -> None:
    """When one of two comes or goes the other is planned too."""
    accounts = Accounts()
    accounts.put(account("acc-1"), NOW)
    assert {"acc-1", "acc-2"} == accounts.put(account("acc-2"), NOW)
    assert "acc-1" == accounts.owners.twin("acc-2")
    assert {"acc-2"} == accounts.drop("acc-1")
    assert "" == accounts.owners.twin("acc-2")
    assert set() == accounts.drop("acc-1")


def test_news_of_a_pod_is_told() -> None:
    """The same again is none, and neither is a late word."""
    pods = Pods()
    assert pods.put(pod(version=5))
    assert not pods.put(pod(version=5))
    assert pods.put(pod(version=7, told=True))
    assert not pods.put(pod(version=6))
    assert pods.of(*HERE)[5].process.told


def test_an_end_stays_known_until_it_is_collected() -> None:
    """The object is gone, the plan has to hear of it once."""
    pods = Pods()
    pods.put(pod(version=5, told=True))
    assert pods.gone(*HERE, "p")
    assert not pods.gone(*HERE, "p")
    assert (True, True) == (pods.of(*HERE)[5].gone, pods.of(*HERE)[5].process.ended)
    assert [] == list(pods.all())
    assert not pods.put(pod(version=9)), "a late word of one that is gone"
    pods.collect(*HERE, 5)
    assert {} == pods.of(*HERE)
    assert not pods.put(pod(version=9)), "a late word of one that was collected"
    assert pods.is_known(*HERE, 5)
    assert pods.put(pod(epoch=6, uid="q"))


def test_how_it_ended_comes_with_the_last_word() -> None:
    """The event of a deletion carries the final status."""
    pods = Pods()
    pods.put(pod(version=5))
    last = replace(pod(version=6), process=Process(5, ended=True, exit_code=0))
    assert pods.gone(*HERE, "p", last)
    assert 0 == pods.of(*HERE)[5].process.exit_code


def test_a_namesake_is_not_taken_for_it() -> None:
    """Another uid is another pod."""
    pods = Pods()
    pods.put(pod(uid="p"))
    assert not pods.gone(*HERE, "q")
    assert not pods.of(*HERE)[5].gone


def test_a_start_that_was_given_up_ends_like_one() -> None:
    """So that its end is recorded, and its Secret goes."""
    pods = Pods()
    pods.never(*HERE, "wa", 5)
    assert Process(5, ended=True, told=True) == pods.of(*HERE)[5].process
    assert pods.of(*HERE)[5].gone


def test_a_suspect_is_looked_at_and_any_word_of_it_counts() -> None:
    """Whatever its version: we asked for it."""
    pods = Pods()
    pods.put(pod(version=5))
    pods.suspect(pod(version=5))
    assert 0.0 == pods.of(*HERE)[5].look
    assert pods.put(pod(version=5))
    assert pods.of(*HERE)[5].look is None


def test_a_new_account_of_the_name_starts_from_nothing() -> None:
    """What was collected of the old one says nothing about the new one; a pod that is still there counts."""
    pods = Pods()
    pods.put(pod(epoch=5))
    pods.gone(*HERE, "p")
    pods.put(pod(epoch=6, uid="q"))
    pods.collect(*HERE, 4)
    pods.forget(*HERE)
    assert [6] == list(pods.of(*HERE))
    assert not pods.is_known(*HERE, 4)
