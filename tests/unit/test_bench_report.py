"""Where a bench's result is kept, and what is in it."""

import json
from pathlib import Path

import pytest

from tests.bench.figures import at_most
from tests.bench.report import Result, file_name, keep
from tests.sandbox import launch

SURROUNDINGS = {"machine": "a machine", "load": {"before": 0.1, "after": 0.2}}


def test_a_run_as_the_product_comes_writes_the_figures_that_docs_cite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual name."""
    monkeypatch.delenv(launch.DRIVER_VARIABLE, raising=False)
    assert "burst.json" == file_name("burst")


def test_a_run_with_a_chosen_driver_leaves_those_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is in the name."""
    monkeypatch.setenv(launch.DRIVER_VARIABLE, "neonize")
    assert "burst-neonize.json" == file_name("burst")


def test_a_file_holds_the_surroundings_the_raw_figures_and_each_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missed is kept as well."""
    monkeypatch.delenv(launch.DRIVER_VARIABLE, raising=False)
    result = Result("memory", {"pss_mib": 51.0}, [at_most("memory of a shard", 48, 51.0, "MiB")])
    path = keep(result, SURROUNDINGS, tmp_path / "figures")
    assert tmp_path / "figures" / "memory.json" == path
    assert {
        "machine": "a machine",
        "load": {"before": 0.1, "after": 0.2},
        "figures": {"pss_mib": 51.0},
        "musts": [{"figure": "memory of a shard", "must": "<= 48 MiB", "measured": "51 MiB", "met": False}],
    } == json.loads(path.read_text())
