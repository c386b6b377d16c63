"""`ponton crds --wait`: what the chart does before it makes a first gateway."""

import pytest

from ponton_operator.cluster.kube_api import Client
from ponton_operator.programs import crds
from tests.harness.kube_server import KubeServer, kube_server

SERVED = {"resources": [{"name": name} for name in ("bridgeaccounts", "bridgeaccounts/status", "bridgegateways")]}
HALF = {"resources": [{"name": "bridgeaccounts"}]}


def connected(server: KubeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the program come to this server, and look often."""
    monkeypatch.setattr(Client, "connect", lambda: Client(server.client()))
    monkeypatch.setattr(crds, "_LOOK", 0.01)


def test_it_waits_until_both_kinds_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither no group nor one kind of two is enough."""
    with kube_server((404, {}), (200, HALF), (200, SERVED)) as server:
        connected(server, monkeypatch)
        assert crds.EX_OK == crds.main(["--wait=20"])
        assert ["/apis/ponton.im/v1alpha1"] * 3 == [asked.path for asked in server.asked]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((200, HALF), "The cluster does not serve the definitions.\n"),
        ((503, {}), "The Kubernetes API does not answer.\n"),
    ],
    ids=["not yet", "away"],
)
def test_it_says_why_when_its_time_is_over(
    answer: tuple[int, object], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Job is tried again."""
    with kube_server(answer) as server:
        connected(server, monkeypatch)
        assert crds.EX_TEMPFAIL == crds.main(["--wait=0.05"])
    assert sentence == capsys.readouterr().err
