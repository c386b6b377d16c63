"""What the front desk is told on a cluster: where it is, and which epoch it may spend."""

import io
from pathlib import Path

import pytest

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.plan.desk_epochs import write_stock
from ponton_operator.plan.manifests_desk import EPOCHS, front_desk
from ponton_operator.plan.manifests_door import Settings, gateway_file
from ponton_operator.plan.secrets import front_desk_secret
from ponton_operator.programs.frontdesk import BadConfiguration, read_config
from ponton_operator.programs.frontdesk_cluster import EpochsSpent, Stock, main, read_place
from tests.unit.gateway_world import find, gateway

TOLD = {"PONTON_NAMESPACE": "bridges", "PONTON_POD": "desk-1", "PONTON_LEASE": "wa-frontdesk", "PONTON_SECRETS": "/s"}


def pod_environment(root: Path) -> dict[str, str]:
    """Give the environment of the pod that the plan makes, its files below a folder."""
    (root / "gateway.yaml").write_text(gateway_file(gateway(), gateway().spec.selfservice))
    (root / "redis-url").write_text("redis://desk:pw@192.0.2.20/0\n")
    manifests = front_desk(gateway(), Settings("operator:1"), {EPOCHS: "{}"})
    variables = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    environment = {v["name"]: v.get("value", "field") for v in variables}
    return environment | {"PONTON_SECRETS": str(root), "PONTON_GATEWAY_FILE": str(root / "gateway.yaml")}


def test_what_the_plan_tells_is_what_the_program_reads(tmp_path: Path) -> None:
    """The pod's environment is complete: with an epoch and its secret nothing is missing."""
    environment = pod_environment(tmp_path)
    assert "wa-frontdesk" == read_place(environment).lease
    config = read_config(environment | {"PONTON_EPOCH": "7"}, "derived")
    assert ("wa.example.org", 7, "derived", None) == (
        config.stream.domain,
        config.stream.epoch,
        config.stream.secret,
        config.accounts,
    )
    assert ("bridges", "redis://desk:pw@192.0.2.20/0") == (config.gateway.metadata.namespace, config.redis_url)


def test_a_plain_secret_is_read_from_its_file(tmp_path: Path) -> None:
    """Without an issued one the stream's secret is the file's."""
    (tmp_path / "component-secret").write_text("plain\n")
    assert "plain" == read_config(pod_environment(tmp_path) | {"PONTON_EPOCH": "7"}).stream.secret


def test_one_machine_needs_its_folder(tmp_path: Path) -> None:
    """Not on a cluster, the folder of accounts has to be named, as before."""
    (tmp_path / "component-secret").write_text("plain\n")
    environment = pod_environment(tmp_path) | {"PONTON_EPOCH": "7"}
    del environment["PONTON_CLUSTER"]
    with pytest.raises(BadConfiguration, match="PONTON_ACCOUNTS is not set"):
        read_config(environment)
    assert Path("/a") == read_config(environment | {"PONTON_ACCOUNTS": "/a"}).accounts


@pytest.mark.parametrize("name", TOLD)
def test_each_variable_of_a_cluster_is_needed(name: str) -> None:
    """One that is missing is named."""
    with pytest.raises(BadConfiguration, match=f"{name} is not set"):
        read_place(TOLD | {name: ""})


def test_a_port_is_a_number() -> None:
    """The port of the view has a default, and is a number."""
    assert 9090 == read_place(TOLD).port
    assert 8080 == read_place(TOLD | {"PONTON_METRICS_PORT": "8080"}).port
    with pytest.raises(BadConfiguration, match="PONTON_METRICS_PORT"):
        read_place(TOLD | {"PONTON_METRICS_PORT": "x"})


def test_wrong_settings_end_with_78(capsys: pytest.CaptureFixture[str]) -> None:
    """The host is told in a sentence."""
    assert 78 == main(TOLD | {"PONTON_LEASE": ""})
    assert "PONTON_LEASE is not set.\n" == capsys.readouterr().err.splitlines(keepends=True)[0]


def test_each_taking_spends_the_next_epoch(tmp_path: Path) -> None:
    """The lowest above the last one, with its secret, from the file as it is at that moment."""
    file, out = tmp_path / EPOCHS, io.StringIO()
    stock = Stock(file, Log(out=out))
    for text in (None, "[", "{}"):
        if text is not None:
            file.write_text(text)
        with pytest.raises(EpochsSpent):
            stock.issue(0)
    assert 1 == out.getvalue().count("epochs_spent")
    file.write_text(write_stock("m", "wa.test", (5, 6)))
    assert (5, 6) == (stock.issue(0), stock.issue(5))
    assert front_desk_secret("m", "wa.test", 6) == stock.secret
    assert stock.secret not in repr(stock)
    with pytest.raises(KubeError):  # the Lease takes it for an API that cannot do it now, and tries again
        stock.issue(6)
    assert 2 == out.getvalue().count("epochs_spent")
