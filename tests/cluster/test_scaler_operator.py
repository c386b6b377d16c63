"""The scaler's program on a real API server, with the rights of its page: a shard that grows gets a larger size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.reach import Cluster, Object
from tests.cluster.scale_field import Field, laid_out

NAMES = ("acc-1", "acc-2", "acc-3")
LARGE = 400 * 1024  # KiB; more than what fits into the small tier of 256 MiB
PATIENCE = 120.0  # seconds; two heartbeats and two sweeps take thirty


@pytest.fixture
def field(fake_cluster: Cluster, tmp_path: Path) -> Iterator[Field]:
    """A gateway with two tiers, and three accounts that run."""
    with laid_out(fake_cluster, tmp_path, 1, 20.0) as made:
        for name in NAMES:
            made.quick[0].make(made.places[0].account(name))
        made.until("all run", lambda: made.connected == len(NAMES), PATIENCE)
        yield made


def limits(field: Field) -> dict[str, tuple[str, str]]:
    """Give memory limit and uid of the pod of each account."""

    def seen(pod: Object) -> tuple[str, str]:
        (container,) = pod["spec"]["containers"]
        return container["resources"]["limits"]["memory"], pod["metadata"]["uid"]

    pods = field.quick[0].items("pods", "app.kubernetes.io/component=shard")
    return {pod["metadata"]["labels"]["ponton.im/account"]: seen(pod) for pod in pods}


def scaling(field: Field, name: str) -> dict[str, Any]:
    """Give what the scaler has decided about an account."""
    found: dict[str, Any] = field.quick[0].accounts()[name]["status"].get("scaling") or {}
    return found


def test_a_shard_that_grows_is_resized_where_it_runs(field: Field) -> None:
    """Its tier is written, its pod keeps its uid, the others stay as they are; then nothing is written any more."""
    before = limits(field)
    assert {"256Mi"} == {limit for limit, _ in before.values()}
    mark = field.mark()
    field.shards[0].grow("acc-2", LARGE)
    field.until("acc-2 is resized", lambda: limits(field)["acc-2"][0] == "512Mi", PATIENCE)
    assert before | {"acc-2": ("512Mi", before["acc-2"][1])} == limits(field)
    assert ["", "large", ""] == [scaling(field, name).get("tier", "") for name in NAMES]
    field.rest(15)
    assert 2 == field.writes(mark)["scaler"]  # the decision and the resize
    assert [] == [call for call in field.calls(mark) if call.user == field.workers["scaler"].bed.user and not call.ok]
