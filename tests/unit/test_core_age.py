"""The check that tells when the pinned whatsmeow is old, over a Go that says what a test wants."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bridge" / "whatsapp-core" / "age.sh"
DAY = 86_400  # seconds
PINNED = 1_790_000_000  # seconds since 1970


def asked(folder: Path, newest: int | None, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the check in a folder of its own, where the newest version has this time (None: nobody knows)."""
    shutil.copy(SCRIPT, folder)
    answer = f"echo {newest}" if newest is not None else "exit 1"
    go = folder / "go"
    go.write_text(f'#!/bin/sh\ncase "$*" in *@main*) {answer} ;; *) echo {PINNED} ;; esac\n')
    go.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(folder / SCRIPT.name)],
        env={"PATH": path, **env},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


@pytest.mark.parametrize(
    ("days", "env", "code"),
    [(0, {}, 0), (30, {}, 0), (31, {}, 1), (31, {"DAYS": "40"}, 0), (2, {"DAYS": "1"}, 1)],
    ids=["the newest", "a month", "more", "more is allowed", "less is allowed"],
)
def test_age(tmp_path: Path, days: int, env: dict[str, str], code: int) -> None:
    """It says the days, and fails when they are too many."""
    done = asked(tmp_path, PINNED + days * DAY, **env)
    assert (code, f"The pinned whatsmeow is {days} days behind the newest.\n") == (done.returncode, done.stdout)


def test_proxy_that_does_not_know(tmp_path: Path) -> None:
    """Not knowing is neither new nor old: it has a code of its own, and the age is told all the same."""
    done = asked(tmp_path, None)
    assert 2 == done.returncode
    assert f"Ours is {int(time.time() - PINNED) // DAY} days old." in done.stderr
