"""The alerts, tried by promtool: each comes when it should, and is silent in calm weather."""

import shutil
import subprocess
from pathlib import Path

TESTS = Path(__file__).parents[1] / "chart" / "rules_test.yaml"
RULES = Path(__file__).parents[2] / "charts" / "ponton" / "files" / "rules.yaml"


def promtool(*line: str) -> str:
    """Run promtool, which is part of Debian's package prometheus; gives what it says."""
    program = shutil.which("promtool")
    assert program, "install the package prometheus (tests/setup-cluster.sh does)"
    done = subprocess.run([program, *line], capture_output=True, text=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules() -> None:
    """All of them, without a warning."""
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_the_alerts_come_when_they_should() -> None:
    """And not before."""
    assert "SUCCESS" in promtool("test", "rules", str(TESTS))
