"""`ponton crds --wait`: how the chart makes the gateway of its sandbox."""

import json
from pathlib import Path

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


def test_it_gives_the_cluster_a_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When its kind is served, and as the owner of what it wrote."""
    gateway = {
        "kind": "BridgeGateway",
        "metadata": {"namespace": "bridges", "name": "wa"},
        "spec": {"domain": "wa.test"},
    }
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(gateway))
    with kube_server((404, {}), (200, SERVED), (201, gateway)) as server:
        connected(server, monkeypatch)
        assert crds.EX_OK == crds.main(["--wait=20", f"--apply={file}"])
        applied = server.asked[-1]
    path, query = (
        "/apis/ponton.im/v1alpha1/namespaces/bridges/bridgegateways/wa",
        "fieldManager=ponton-install&force=true",
    )
    assert ("PATCH", f"{path}?{query}", gateway) == (applied.method, applied.path, applied.body)
    assert 3 == len(server.asked)


def test_a_gateway_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anybody waits."""
    file = tmp_path / "gateway.json"
    assert crds.EX_CONFIG == crds.main(["--wait=20", f"--apply={file}"])
    file.write_text("no JSON")
    assert crds.EX_CONFIG == crds.main(["--wait=20", f"--apply={file}"])
    assert f"{file}: No such file or directory.\nA file there cannot be read.\n" == capsys.readouterr().err


def test_a_gateway_without_waiting_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    """The usage is shown."""
    with pytest.raises(SystemExit) as ended:
        crds.main(["--apply=gateway.json"])
    assert crds.EX_USAGE == ended.value.code
    assert "--apply goes with --wait" in capsys.readouterr().err
