"""The accounts operator where it may not see a namespace (any more), against an API server in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from ponton_operator.cluster import kube_leaving
from ponton_operator.plan import reach
from tests.harness.kube_fake import Obj, kube_fake
from tests.harness.kube_town import NS, PodFake, Town, town

BACK = ("PATCH", "bridgeaccounts")
WIDE = {("GET", "bridgeaccounts"), BACK}  # what the operator may in the whole cluster
GOING = {"metadata": {"name": NS, "deletionTimestamp": "2026-11-29T00:00:00Z", "finalizers": ["x"]}}
HELD_UP = {
    "status": {
        "conditions": [
            {
                "type": "NamespaceFinalizersRemaining",
                "status": "True",
                "message": "finalizers remaining: ponton.im/unlink in 1 resource instances",
            }
        ]
    }
}


@pytest.fixture
def fake() -> Iterator[PodFake]:
    """An API server that lets the operator do in every namespace what it may in the cluster."""
    made = PodFake(granted=set(WIDE))
    with kube_fake(made):
        yield made


@pytest.fixture
async def here(fake: PodFake, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    """A cluster with a gateway, and an operator that asks soon; it does not run yet."""
    monkeypatch.setattr(reach, "FIRST", 0.02)
    monkeypatch.setattr(reach, "MOST", 0.02)
    monkeypatch.setattr(kube_leaving, "APART", 0.02)
    async with town(fake) as made:
        yield made


@pytest.fixture
async def asking(here: Town) -> AsyncIterator[Town]:
    """The operator runs, and asks again about what it may not see."""
    fake_names = here.fake.put("namespaces", "", {"metadata": {"name": NS}})
    assert fake_names
    await here.start()
    task = asyncio.create_task(here.reach.keep(here.operator))
    yield here
    task.cancel()


async def running(here: Town, name: str = "acc-1") -> Obj:
    """Have an account started; gives its pod."""
    here.account(name, owner=f"{name}@example.test")
    await here.until(lambda: here.pods(name))
    here.run(name)
    await here.settle()
    return here.pod(name)


async def left_out(here: Town) -> None:
    """Take the rights away, and have it noticed as a refused watch would."""
    here.fake.forbidden.add(NS)
    here.reach.refuse(NS)
    await here.until(lambda: not here.operator.gateways, "it is dropped")


def refused(here: Town) -> bool:
    """Whether one was told in a log."""
    return bool(here.logged("namespace_left_out"))


async def test_a_finalizer_goes_without_a_right_in_the_namespace(asking: Town, fake: PodFake) -> None:
    """Also when a pod has ended that would be collected otherwise, and one is waited for."""
    here = asking
    here.ended(await running(here), 1)
    await running(here, "acc-2")
    fake.put("namespaces", "", GOING)
    fake.forbidden.add(NS)
    for name in ("acc-1", "acc-2"):
        fake.objects["bridgeaccounts", NS, name]["metadata"]["deletionTimestamp"] = "2026-11-29T00:00:00Z"
        fake.put("bridgeaccounts", NS, {"metadata": {"name": name}})
    await here.until(lambda: not [key for key in fake.objects if key[0] == "bridgeaccounts"])


async def test_what_is_forbidden_makes_it_ask_whether_all_is(asking: Town, fake: PodFake) -> None:
    """A status that could not be written is the first sign; nobody waits for a watch to end."""
    here = asking
    await running(here)
    fake.forbidden.add(NS)
    here.tell("Connected", paired=1)
    await here.until(lambda: refused(here))
    assert {} == here.operator.gateways


async def test_a_namespace_that_goes_is_not_left_out_while_its_watches_tell(asking: Town, fake: PodFake) -> None:
    """They tell soonest when its accounts go, whatever else is forbidden by then."""
    here = asking
    await running(here)
    fake.put("namespaces", "", GOING)
    fake.forbidden.add(NS)
    here.tell("Connected", paired=1)
    await here.until(lambda: here.logged("plan_failed"))
    await here.until(lambda: all(task.done() for task in here.operator._doubts.values()))
    assert not refused(here)


async def test_one_thing_that_is_forbidden_leaves_nothing_out(asking: Town, fake: PodFake) -> None:
    """A policy that refuses a write is told as a failed plan, as before."""
    here = asking
    await running(here)
    fake.granted |= {("LIST", kind) for kind in ("bridgegateways", "bridgeaccounts", "pods")}
    fake.forbidden.add(NS)
    here.tell("Connected", paired=1)
    await here.until(lambda: here.logged("plan_failed"))
    await here.until(lambda: all(task.done() for task in here.operator._doubts.values()))
    assert not refused(here)


async def test_rights_that_come_back_find_everything_as_it_is(asking: Town, fake: PodFake) -> None:
    """What ran goes on: no second pod, no other epoch; what came meanwhile is started."""
    here = asking
    before = await running(here)
    await left_out(here)
    here.account("acc-2", owner="b@example.test")
    here.seen = fake.version  # nobody watches meanwhile
    await asyncio.sleep(0.1)
    assert {} == here.operator.gateways
    fake.forbidden.clear()
    await here.until(lambda: here.pods("acc-2"))
    await here.settle()
    assert before["metadata"]["uid"] == here.pod()["metadata"]["uid"]
    assert 1 == len(here.logged("namespace_served"))
    here.tell("Connected", paired=1)
    await here.until(lambda: here.reason() == "Connected")


async def test_late_words_of_a_namespace_that_is_left_out_count_for_nothing(asking: Town, fake: PodFake) -> None:
    """Half a view of it would start a second pod."""
    here = asking
    await running(here)
    await left_out(here)
    here.account("acc-2", owner="b@example.test")
    await here.watch()
    assert {} == here.operator.gateways
    assert [] == list(here.operator.pods.all())


async def test_accounts_are_let_go_by_their_names(asking: Town, fake: PodFake) -> None:
    """Left out first, removed later: nobody tells us, and no list is allowed; others' finalizers stay on."""
    here = asking
    for name in ("acc-1", "acc-2", "acc-3"):
        await running(here, name)
    await left_out(here)
    fake.remove("bridgeaccounts", NS, "acc-2")
    fake.put("bridgeaccounts", NS, {"metadata": {"name": "acc-3", "finalizers": ["ponton.im/unlink", "other/one"]}})
    fake.put("namespaces", "", GOING | HELD_UP)
    await asyncio.sleep(0.1)
    assert fake.get("bridgeaccounts", NS, "acc-1")  # it is not being deleted yet
    fake.forbidden.clear()
    for name in ("acc-1", "acc-3"):
        here.delete(name)
    fake.forbidden.add(NS)
    await here.until(lambda: fake.get("bridgeaccounts", NS, "acc-1") is None)
    await here.until(lambda: ["other/one"] == (fake.get("bridgeaccounts", NS, "acc-3") or {})["metadata"]["finalizers"])
    await here.until(lambda: not here.operator._left[NS].names)
    assert 2 == sum(line["accounts"] for line in here.logged("namespace_let_go"))
    assert [] == here.logged("namespace_held_up")


async def test_nobody_is_let_go_while_the_namespace_stays(asking: Town, fake: PodFake) -> None:
    """An account that is deleted where the operator lacks its rights waits for them: its device is linked."""
    here = asking
    await running(here)
    here.tell("Connected", paired=1)
    await here.until(lambda: here.reason() == "Connected")
    here.delete()
    await left_out(here)
    asked = len(fake.asked)
    await here.until(lambda: len(fake.asked) > asked + 10)
    account = fake.get("bridgeaccounts", NS, "acc-1")
    assert account
    assert ["ponton.im/unlink"] == account["metadata"]["finalizers"]


async def test_a_namespace_of_which_nothing_was_known_is_told_once(here: Town, fake: PodFake) -> None:
    """An operator that starts too late knows no names: a person has to take the finalizers off."""
    here.account()
    fake.forbidden.add(NS)
    fake.put("namespaces", "", GOING | HELD_UP)
    await here.start()
    task = asyncio.create_task(here.reach.keep(here.operator))
    await here.until(lambda: here.logged("namespace_held_up"))
    asked = len(fake.asked)
    await here.until(lambda: len(fake.asked) > asked + 10)
    task.cancel()
    assert (1, 1) == (len(here.logged("namespace_held_up")), len(here.logged("namespace_left_out")))


async def test_one_that_is_gone_is_forgotten(asking: Town, fake: PodFake) -> None:
    """And asked about once in a while, since it may come again."""
    here = asking
    await running(here)
    await left_out(here)
    fake.remove("namespaces", "", NS)
    await here.until(lambda: not here.operator._left[NS].names)
    assert {} == here.operator._left[NS].gateways


async def test_its_gateway_says_so_where_it_may_be_written(asking: Town, fake: PodFake) -> None:
    """The condition comes with the refusal and goes with it; written once each."""
    here = asking

    def conditions() -> list[str]:
        status = (fake.get("bridgegateways", NS, "wa") or {}).get("status") or {}
        return [one["reason"] for one in status.get("conditions", ()) if one["type"] == "RightsMissing"]

    await running(here)
    fake.granted.add(("PATCH", "bridgegateways/status"))
    await left_out(here)
    await here.until(lambda: ["AccountsLeftOut"] == conditions())
    asked = len(fake.asked)
    await here.until(lambda: len(fake.asked) > asked + 10)
    assert not [1 for method, path in fake.asked[asked:] if method == "PATCH" and "bridgegateways" in path]
    fake.forbidden.clear()
    await here.until(lambda: [] == conditions())


async def test_a_sweep_that_is_refused_leaves_the_namespace_out(asking: Town, fake: PodFake) -> None:
    """So it is noticed within minutes though every watch is open; nothing counts as gone for that."""
    here = asking
    await running(here)
    fake.forbidden.add(NS)
    with pytest.raises(Exception, match="does not allow it"):
        await here.operator.sweep()
    await here.until(lambda: refused(here))
    assert [] == here.logged("swept")
