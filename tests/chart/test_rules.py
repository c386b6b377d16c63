"""Alerts and dashboard: every alert has a page and a test, and both ask for figures that the programs give.

That the alerts come when they should is tried by promtool in tests/cluster/test_rules.py.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponton_bridge.model.states import Phase
from ponton_operator.cluster.events import Event, OperatorEvent
from ponton_operator.cluster.metrics import Metrics

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "ponton" / "files"
RUNBOOKS = ROOT / "docs" / "runbooks"
MODULE = (ROOT / "bridge" / "prosody" / "mod_component_shards" / "README.md").read_text(encoding="utf-8")
# What the operators tell by `Metrics.state`: in cluster/kube_runtime.py, cluster/kube_sweep.py, operators/gateways.py.
STATES = {"accounts", "accounts.*", "waiting", "reconnecting", "banned", "heartbeats", "portal away"} | {
    f"accounts {p}" for p in Phase
}
_SUFFIX = re.compile(r"_(bucket|sum|count|total|info)$")


def rules() -> Iterator[dict[str, Any]]:
    """Give every alert."""
    for group in yaml.safe_load((FILES / "rules.yaml").read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def expressions() -> list[str]:
    """Give every query of alerts and dashboard."""
    board = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
    return [rule["expr"] for rule in rules()] + [one["expr"] for panel in board["panels"] for one in panel["targets"]]


def given() -> set[str]:
    """Give the names of the metrics that an operator has, without what their kind adds to them."""
    text = Metrics("operator accounts", "0").text().decode()
    return {_SUFFIX.sub("", line.split()[2]) for line in text.splitlines() if line.startswith("# TYPE")}


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """When, effect, and what to do."""
    names = [rule["alert"] for rule in rules()]
    assert sorted(names) == sorted(path.stem for path in RUNBOOKS.glob("*.md"))
    for rule in rules():
        assert f"docs/runbooks/{rule['alert']}.md" == rule["annotations"]["runbook_url"]
        page = (RUNBOOKS / f"{rule['alert']}.md").read_text(encoding="utf-8")
        assert all(f"**{word}:**" in page for word in ("When", "Effect", "Do")), rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_every_alert_is_tested_both_ways() -> None:
    """Silent in calm weather, and there in the storm."""
    tests = yaml.safe_load((Path(__file__).parent / "rules_test.yaml").read_text(encoding="utf-8"))["tests"]
    silent = {one["alertname"] for one in tests[0]["alert_rule_test"] if not one.get("exp_alerts")}
    loud = {one["alertname"] for test in tests[1:] for one in test["alert_rule_test"] if one.get("exp_alerts")}
    names = {rule["alert"] for rule in rules()}
    assert names == silent
    assert names == loud


@pytest.mark.parametrize("expression", expressions())
def test_a_query_asks_for_what_there_is(expression: str) -> None:
    """Figures of the operators by the names of their registry, those of Prosody by its module's page."""
    for name in re.findall(r"\bponton_[a-z_]+", expression):
        assert _SUFFIX.sub("", name) in given(), name
    for name in re.findall(r"prosody_mod_component_shards__([a-z_]+)", expression):
        assert f"`{name.removesuffix('_total')}`" in MODULE, name
    for name in re.findall(r'event="([a-z_]+)"', expression):
        assert name in {*Event, *OperatorEvent}
    for said in re.findall(r'what=~?"([^"]+)"', expression):
        assert set(said.split("|")) <= STATES, said


def test_the_dashboard_names_no_source_of_its_own() -> None:
    """So that it works in any Grafana."""
    board = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
    assert {"${source}"} == {panel["datasource"]["uid"] for panel in board["panels"]}
    assert len(board["panels"]) == len({panel["id"] for panel in board["panels"]})
