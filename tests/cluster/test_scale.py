"""Two thousand accounts on fake nodes, as `scale` measures ten thousand."""

import json
from pathlib import Path

import pytest

from tests.bench.figures import table
from tests.bench.report import say
from tests.cluster.conftest import Boxes, options
from tests.cluster.reach import Cluster
from tests.cluster.scale import Size, go, nodes
from tests.cluster.scale_field import laid_out

SIZE = Size(accounts=2_000, gateways=2, every=4.0, rest=30.0)


@pytest.mark.timeout(1500)
def test_two_thousand_accounts_start_answer_and_rest(boxes: Boxes, tmp_path: Path) -> None:
    """Time, pace, writes of a start, reaction meanwhile, memory, restart, silence at rest: all as they must be."""
    box = boxes(options("scale", kwok=nodes(SIZE)))
    with laid_out(Cluster.of(box), tmp_path, SIZE.gateways, SIZE.writes) as field:
        result = go(SIZE, field)
    say(json.dumps(result.figures, indent=1))
    say(table(result.lines))
    assert [] == [line for line in result.lines if not line.met]
