"""Renders the chart as Helm does, and finds things in what comes out. For the tests of the chart."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.box.build import program
from tests.cluster.reach import Cluster

CHART = Path(__file__).parents[2] / "charts" / "ponton"
NAMESPACE = "bridges"
RELEASE = "wa"
# Everything that the chart can make, at once.
EVERYTHING: Mapping[str, Any] = {
    "namespaces": ["bridges-b", "bridges"],
    "redis": {"enabled": True},
    "prosody": {"enabled": True, "domain": "example.test"},
    "sandbox": {"enabled": True},
    "metrics": {"podMonitor": {"create": True}, "rules": {"create": True}, "dashboard": {"create": True}},
    "images": {"registry": "registry.example.org/ponton", "pullSecrets": ["pull"]},
}

Object = dict[str, Any]


class Refused(Exception):
    """Helm refused; the text is what it said."""


def helm(*line: str, values: Mapping[str, Any] | None = None) -> str:
    """Run Helm with values as a file; gives its output, raises Refused."""
    command = [str(program("helm")), *line, *(["--values", "-"] if values is not None else [])]
    text = json.dumps(values) if values is not None else None
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def definitions(cluster: Cluster) -> dict[str, Any]:
    """Give the values that say who brings the definitions: they stay when a release goes, and belong to the first."""
    there = cluster.kubectl("get", "crd", "bridgegateways.ponton.im", "--ignore-not-found", "-o", "name")
    return {"crds": {"install": not there}}


def render(values: Mapping[str, Any] | None = None, *line: str, release: str = RELEASE) -> list[Object]:
    """Give all objects that the chart makes of these values, hooks among them."""
    text = helm("template", release, str(CHART), "--namespace", NAMESPACE, *line, values=values or {})
    return [found for found in yaml.safe_load_all(text) if found]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Give those of some kinds."""
    return [found for found in objects if found["kind"] in kinds]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """Give the one of a kind and name (in whatever namespace comes first)."""
    return next(found for found in of_kind(objects, kind) if found["metadata"]["name"] == name)


def sandbox_gateway(objects: list[Object]) -> Object:
    """Give the gateway that the installation's Job makes."""
    made: Object = json.loads(named(objects, "ConfigMap", f"{RELEASE}-ponton-sandbox-gateway")["data"]["gateway.json"])
    return made


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Give the pod of each workload: the workload's name, and metadata and spec of its pods."""
    for found in of_kind(objects, "Deployment", "StatefulSet", "Job"):
        yield found["metadata"]["name"], found["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    """Give all containers of a pod."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a selector of labels (matchLabels, and In of matchExpressions) takes a pod."""
    wanted = selector.get("matchLabels", {})
    lists = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in lists)
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in lists
    )
