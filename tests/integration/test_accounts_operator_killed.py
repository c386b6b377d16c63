"""The accounts operator killed anywhere, with watches that lag: never two pods for an account, and it converges."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator

import pytest

from ponton_operator.cluster import kube_shards
from tests.harness.kube_fake import Obj, kube_fake
from tests.harness.kube_town import NS, PodFake, Town, town

NAMES = ("acc-1", "acc-2", "acc-3")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[PodFake]:
    """An API server; what waits waits shortly."""
    monkeypatch.setattr(kube_shards, "WAIT_OTHERWISE", 0.05)
    monkeypatch.setattr("ponton_operator.cluster.reconcile.TRY_AGAIN", 0.05)
    monkeypatch.setattr("ponton_operator.plan.starting.backoff", lambda _: 0.0)
    made = PodFake()
    with kube_fake(made):
        yield made


def check_history(fake: PodFake) -> None:
    """Replay all that happened to pods: of each account one lives at a time, and epochs grow."""
    alive: dict[str, set[str]] = defaultdict(set)
    last: dict[str, int] = {}
    for _, plural, kind, pod in fake.events:
        if plural != "pods":
            continue
        account, name = pod["metadata"]["labels"]["ponton.im/account"], pod["metadata"]["name"]
        if kind == "ADDED":
            epoch = int(pod["metadata"]["annotations"]["ponton.im/epoch"])
            assert epoch > last.get(account, 0), "an epoch came twice, or went back"
            last[account] = epoch
        if kind == "DELETED" or (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
            alive[account].discard(name)
        else:
            alive[account].add(name)
        assert len(alive[account]) <= 1, "two pods of one account"


async def die(here: Town) -> None:
    """Kill the operator: no call of it gets through any more, whatever it was doing."""
    here.fake.down = True
    here.running = False
    closing = asyncio.create_task(here.operator.close())
    await asyncio.wait({closing}, timeout=20)
    here.fake.down = False
    here.renew()


async def converge(here: Town) -> None:
    """Let everybody do their part until all that is wanted is."""

    def kubelet() -> None:
        for name in NAMES:
            for pod in here.pods(name):
                if pod["metadata"].get("deletionTimestamp"):
                    here.gone(pod)
                elif "status" not in pod:
                    here.status(pod)

    def right() -> bool:
        kubelet()
        return all(is_right(here, name) for name in NAMES)

    await here.until(right, "it does not converge")
    await here.settle()
    assert right()


def is_right(here: Town, name: str) -> bool:
    """Whether an account has what its spec wants, and no Secret but that of its pod."""
    account = here.fake.get("bridgeaccounts", NS, name)
    pods = here.pods(name)
    kept = sorted(key[2] for key in here.fake.objects if key[0] == "secrets")
    if [pod["metadata"]["name"] for pod in pods] != [secret for secret in kept if secret.startswith(f"{name}-")]:
        return False
    if account is None or account["spec"].get("desired") == "Stopped":
        return not pods
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
    return len(running) == len(pods) == 1 and here.said(name)["epoch"] == epoch_of(pods[0])


def epoch_of(pod: Obj) -> int:
    """Give the epoch of a pod."""
    return int(pod["metadata"]["annotations"]["ponton.im/epoch"])


@pytest.mark.parametrize("calls", range(1, 13))
async def test_killed_after_any_call_of_a_start(fake: PodFake, calls: int) -> None:
    """Between any write and the deed that rests on it: the next operator ends up with exactly one pod."""
    async with town(fake) as here:
        for name in NAMES:
            here.account(name, owner=f"{name}@example.test")
        await here.start()
        first = len(fake.asked)
        await here.until(lambda: len(fake.asked) - first >= calls or all(here.pods(name) for name in NAMES))
        await die(here)
        await here.start()
        await converge(here)
        check_history(fake)


def nudge(here: Town, rng: random.Random) -> None:
    """Let something happen: people, kubelet, shard."""
    name = rng.choice(NAMES)
    pods = here.pods(name)
    alive = [pod for pod in pods if (pod.get("status") or {}).get("phase") in {None, "Running"}]
    match rng.randrange(8):
        case 0:
            here.account(name, owner=f"{name}@example.test", desired=rng.choice(["Running", "Stopped"]))
        case 1:
            here.account(name, owner=f"{name}@example.test", wake=rng.randrange(5))
        case 2 if alive:
            here.ended(alive[0], rng.choice([0, 1, 70]))
        case 3 if alive:
            here.fake.answer("DELETE", f"/api/v1/namespaces/{NS}/pods/{alive[0]['metadata']['name']}", {}, {})
        case 4 if pods and pods[0]["metadata"].get("deletionTimestamp"):
            here.gone(pods[0])
        case 5 if alive:
            here.status(alive[0])
        case 6:
            here.gateway(shard={"logLevel": rng.choice(["info", "debug"])})
        case 7:
            here.fake.forget()
        case _:
            return


@pytest.mark.parametrize("seed", range(12))
async def test_killed_at_random_times_with_watches_that_lag(fake: PodFake, seed: int) -> None:
    """Creates, changes, crashes, deletes by others; each operator lives for a moment and sees late what happened."""
    rng = random.Random(seed)
    async with town(fake) as here:
        for name in NAMES:
            here.account(name, owner=f"{name}@example.test")
        for _ in range(5):
            await here.start()
            for _ in range(rng.randrange(4, 25)):
                nudge(here, rng)
                await here.watch(rng.randrange(4))
                await asyncio.sleep(rng.choice([0.0, 0.0, 0.005, 0.02]))
            await die(here)
        for name in NAMES:
            here.account(name, owner=f"{name}@example.test", desired="Running", wake=10)
        await here.start()
        await converge(here)
        check_history(fake)
