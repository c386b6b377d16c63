"""Leaving a cluster in order: the deeds and their order, on a small stand-in for the API."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from ponton_operator.cluster import kube_uninstall
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Conflict, NotFound, Unavailable
from ponton_operator.cluster.kube_kinds import ACCOUNTS, DEPLOYMENTS, PODS, Kind
from ponton_operator.cluster.kube_uninstall import SHARDS, Uninstall, Wanted
from ponton_operator.programs import uninstall as program
from ponton_operator.resources.account import FINALIZER

Obj = dict[str, Any]
SELECTOR = "app.kubernetes.io/instance=wa"


@dataclass
class Cluster:
    """Objects by kind and label, and operators that can be stopped; `done` is what was asked of it, in order."""

    accounts: dict[str, Obj] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)
    desks: list[str] = field(default_factory=list)
    operators: set[str] = field(default_factory=lambda: {"ponton-accounts", "ponton-scaler"})
    unlinks: bool = True
    conflicts: int = 0
    done: list[str] = field(default_factory=list)
    known: bool = True
    closed: bool = False

    def close(self) -> None:
        """As the wrapper does."""
        self.closed = True

    async def pages(self, kind: Kind, namespace: str = "", labels: str = "") -> AsyncIterator[list[Obj]]:
        """Give what there is in the one namespace."""
        if kind is ACCOUNTS and not self.known:
            raise NotFound
        names: dict[tuple[Kind, str], list[str]] = {
            (PODS, SHARDS): self.shards,
            (PODS, SELECTOR): sorted(self.operators),
            (DEPLOYMENTS, kube_uninstall.OURS): self.desks,
        }
        if namespace != "wa":
            yield []
        elif kind is ACCOUNTS:
            yield list(self.accounts.values())
        else:
            yield [{"metadata": {"name": name}} for name in names[kind, labels]]

    async def find(self, _kind: Kind, _namespace: str, name: str) -> Obj | None:
        """Give an account."""
        return self.accounts.get(name)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Obj, subresource: str = "") -> Obj:
        """Stop an operator, or release an account."""
        self.done.append(f"patch {kind.plural} {namespace}/{name} {subresource}".strip())
        if kind is DEPLOYMENTS:
            if name not in self.operators:
                raise NotFound
            self.operators.discard(name)
            return {}
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict
        if name not in self.accounts:
            raise NotFound
        self.accounts[name]["metadata"] |= body["metadata"]
        return self.accounts[name]

    async def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """Remove an object; an account goes when somebody is there to unlink it."""
        self.done.append(f"delete {kind.plural} {namespace}/{name}")
        if kind is ACCOUNTS and self.unlinks and self.operators:
            del self.accounts[name]
        return True


def account(name: str, *, paired: bool = False, finalizers: tuple[str, ...] = (FINALIZER,)) -> Obj:
    """Give an account as the API has it."""
    metadata = {"name": name, "namespace": "wa", "resourceVersion": "1", "finalizers": list(finalizers)}
    return {"metadata": metadata, "status": {"paired": paired}}


def cluster(*accounts: Obj, **more: Any) -> Cluster:  # noqa: ANN401  # fields of Cluster
    """Make a stand-in."""
    return Cluster({one["metadata"]["name"]: one for one in accounts}, **more)


def work(stand_in: Cluster, seconds: float = 0.0, namespaces: tuple[str, ...] = ("wa", "wb")) -> Uninstall:
    """Make the run under test."""
    operators = ("ponton-accounts", "ponton-gateways", "ponton-scaler")
    return Uninstall(cast("KubeApi", stand_in), Wanted(namespaces, "wa", operators, SELECTOR, seconds))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often and give up early."""
    monkeypatch.setattr(kube_uninstall, "_LOOK", 0.01)
    monkeypatch.setattr(kube_uninstall, "STOP", 0.05)


async def test_operators_are_stopped_before_accounts_are_released_and_pods_end() -> None:
    """They would put the finalizers back and start pods again; a Deployment goes before pods for the same reason."""
    stand_in = cluster(account("acc-1"), shards=["acc-1-7"], desks=["wa-frontdesk"])
    await work(stand_in).run()
    assert [
        "patch deployments wa/ponton-accounts scale",
        "patch deployments wa/ponton-gateways scale",
        "patch deployments wa/ponton-scaler scale",
        "patch bridgeaccounts wa/acc-1",
        "delete deployments wa/wa-frontdesk",
        "delete pods wa/acc-1-7",
    ] == stand_in.done


async def test_accounts_stay_and_the_linked_ones_are_listed() -> None:
    """Without the finalizer, and with what they were."""
    stand_in = cluster(account("acc-1", paired=True), account("acc-2"), account("acc-3", finalizers=()))
    run = work(stand_in)
    await run.run()
    assert ["wa/acc-1"] == run.report.linked
    assert 2 == run.report.released
    assert [[], [], []] == [one["metadata"]["finalizers"] for one in stand_in.accounts.values()]


async def test_unlinking_deletes_all_accounts_while_the_operators_still_run() -> None:
    """Then there is nothing to release and nothing stays linked."""
    stand_in = cluster(account("acc-1", paired=True), account("acc-2"))
    run = work(stand_in, seconds=5.0)
    await run.run()
    assert {} == stand_in.accounts
    assert (2, 0, []) == (run.report.deleted, run.report.released, run.report.linked)
    assert "delete bridgeaccounts wa/acc-1" == stand_in.done[0]


async def test_what_was_not_unlinked_in_time_is_told_and_released() -> None:
    """A dead WhatsApp does not keep the host from uninstalling."""
    stand_in = cluster(account("acc-1", paired=True), unlinks=False)
    run = work(stand_in, seconds=0.05)
    await run.run()
    assert ["Not unlinked in 0 s: 1 of 1 accounts."] == run.report.problems
    assert (0, 1, ["wa/acc-1"]) == (run.report.deleted, run.report.released, run.report.linked)


async def test_an_account_that_changed_meanwhile_is_read_again() -> None:
    """A conflict is no failure, and five in a row are told."""
    stand_in = cluster(account("acc-1"), conflicts=3)
    run = work(stand_in)
    await run.run()
    assert (1, []) == (run.report.released, run.report.problems)
    stand_in = cluster(account("acc-1"), conflicts=99)
    run = work(stand_in)
    await run.run()
    assert ["wa/acc-1 was changed all the time: its finalizer is still there."] == run.report.problems


async def test_an_account_that_vanishes_meanwhile_is_no_failure() -> None:
    """Whether the patch or the second look finds it gone."""
    stand_in = cluster(account("acc-1"))
    gone = account("acc-2")
    run = work(stand_in)
    await run._release(gone)
    stand_in.conflicts = 1
    await run._release(gone)
    assert (0, []) == (run.report.released, run.report.problems)


async def test_operators_that_do_not_end_are_told() -> None:
    """The run goes on: the host can see to them."""
    stand_in = cluster(account("acc-1"), operators={"a-fourth-one"})
    run = work(stand_in)
    await run.run()
    assert ["The operators did not end in time: look at their pods before you go on."] == run.report.problems
    assert 1 == run.report.released


async def test_definitions_that_are_gone_already_are_no_failure() -> None:
    """There are no accounts then."""
    run = work(cluster(known=False, shards=["acc-1-7"]))
    await run.run()
    assert (0, 1) == (run.report.released, run.report.ended)


async def test_the_program_tells_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, which is the hook's log."""
    stand_in = cluster(account("acc-1", paired=True))
    wanted = program.read_arguments(
        ["--namespaces=wa, wb", "--home=wa", "--operator=ponton-accounts", f"--selector={SELECTOR}"]
    )
    assert Wanted(("wa", "wb"), "wa", ("ponton-accounts",), SELECTOR, 0.0) == wanted
    stand_in.operators = {"ponton-accounts"}
    assert program.EX_OK == await program.run(cast("KubeApi", stand_in), wanted)
    assert "  wa/acc-1\n" in capsys.readouterr().out
    assert stand_in.closed


async def test_the_program_fails_when_the_api_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done until then is told, too, and the kubelet tries again."""
    stand_in = cluster(account("acc-1"))

    async def away(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(stand_in, "patch", away)
    wanted = Wanted(("wa",), "wa", ("ponton-accounts",), SELECTOR)
    assert program.EX_TEMPFAIL == await program.run(cast("KubeApi", stand_in), wanted)
    assert "Released: 0 accounts" in (out := capsys.readouterr().out)
    assert out.endswith("The Kubernetes API does not answer.\n")


def test_unlinking_is_asked_for_in_words() -> None:
    """The seconds alone do nothing."""
    line = ["--namespaces=wa", "--home=wa", "--selector=x", "--seconds=60"]
    assert 0.0 == program.read_arguments(line).seconds
    assert 60.0 == program.read_arguments([*line, "--unlink"]).seconds


def test_wrong_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As by every program."""
    assert program.EX_USAGE == program.main(["--home"])
    assert program.EX_OK == program.main(["--help"])
    assert "usage: ponton uninstall" in capsys.readouterr().out


def test_without_a_cluster_the_program_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is neither a service account nor a KUBECONFIG."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere/at-all")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert program.EX_TEMPFAIL == program.main(["--namespaces=wa", "--home=wa", "--selector=x"])
    assert "neither a service account nor a KUBECONFIG" in capsys.readouterr().out


async def test_many_accounts_are_released_side_by_side() -> None:
    """Eight calls at the same time, and none is forgotten."""
    stand_in = cluster(*(account(f"acc-{n}") for n in range(30)))
    running, most = 0, 0
    patch = stand_in.patch

    async def slow(*arguments: Any) -> Obj:  # noqa: ANN401  # passed on
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return await patch(*arguments)

    stand_in.patch = slow  # type: ignore[method-assign, assignment]  # on purpose
    run = work(stand_in)
    await run.run()
    assert 30 == run.report.released
    assert 8 == most
