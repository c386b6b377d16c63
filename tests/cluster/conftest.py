"""Clusters for the tests in this folder: boxes of our own, or the cluster that KUBECONFIG names.

The folder is collected only when it is named on the command line: `pytest tests/cluster`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.box.box import Box
from tests.cluster.box.layout import Options
from tests.cluster.reach import Cluster
from tests.harness.collecting import give_time, unless_named

_HERE = Path(__file__).parent
_PATIENCE = 600  # seconds for a test that says nothing itself; the first one of a session brings a cluster up
_FAKE_NODES = 4  # of a thousand pods each

Boxes = Callable[[Options], Box]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder alone unless a path given on the command line leads into it."""
    return unless_named(_HERE, config)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder more time than others have, and mark those that need a real node.

    A box at rest takes a tenth of a core, so no process of a run shall have one of each kind (see the Makefile).
    """
    give_time(_HERE, items, _PATIENCE)
    for item in items:
        if "node_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.node)


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    """Brings boxes up; at the end of the session all are taken down, and nothing may be left of any.

    Their logs are kept in pytest's folder of temporary files.
    """
    made: list[Box] = []

    def up(options: Options) -> Box:
        made.append(Box.up(options))
        return made[-1]

    yield up
    left = [line for box in made for line in box.down(tmp_path_factory.mktemp(f"logs-{box.folder.name}"))]
    assert [] == left


@pytest.fixture(scope="session")
def api_cluster(boxes: Boxes) -> Cluster:
    """API server, controllers and scheduler, no node: pods stay pending. Up in a few seconds."""
    return _given() or Cluster.of(boxes(options("api")))


@pytest.fixture(scope="session")
def node_cluster(boxes: Boxes) -> Cluster:
    """With one real node, DNS, volumes and enforced network policies."""
    return _given() or Cluster.of(boxes(options("node", node=True)))


@pytest.fixture(scope="session")
def fake_cluster(boxes: Boxes) -> Cluster:
    """With fake nodes only, on which thousands of pods run as far as the API can see."""
    return Cluster.of(boxes(options("fake", kwok=_FAKE_NODES)))


def _given() -> Cluster | None:
    path = os.environ.get("KUBECONFIG")
    return Cluster(Path(path), None) if path else None


def options(kind: str, *, node: bool = False, kwok: int = 0) -> Options:
    """Give what a box of this session shall have, named by its kind."""
    return Options(f"{kind}-{os.getpid()}", node=node, kwok=kwok, audit=True, owner=os.getpid())
