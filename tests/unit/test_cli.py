"""The command line: a table of programs that loads nothing but the one that is asked for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ponton_bridge.cli import EX_UNAVAILABLE, EX_USAGE, PROGRAMS, main

FOREIGN = (
    "ponton_operator",
    "pydantic",
    "kopf",
    "kubernetes",
    "yaml",
    "aiohttp",
    "requests",
    "PIL",
    "phonenumbers",
    "lxml",
)


def test_names_every_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Shows what there is when asked, or when nothing is named."""
    assert 0 == main(["--help"])
    assert EX_USAGE == main([])
    shown = capsys.readouterr().out
    assert all(name in shown for name in PROGRAMS)


def test_refuses_an_unknown_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Says that there is none of that name, and which there are."""
    assert EX_USAGE == main(["shards"])
    assert "there is no program 'shards'" in capsys.readouterr().err


def test_passes_the_rest_of_the_line_and_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a program its arguments and returns what it returns."""
    monkeypatch.setitem(PROGRAMS, "probe", (f"{__name__.rpartition('.')[2]}_probe:run", "x", "probe"))
    seen: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        seen.append(arguments)
        return 7

    module = type(sys)(f"{__name__.rpartition('.')[2]}_probe")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert 7 == main(["probe", "a", "b"])
    assert [["a", "b"]] == seen


def test_a_container_ends_when_it_is_told_to_while_it_is_still_being_imported(tmp_path: Path) -> None:
    """Its first process would ignore that, and be waited for for half a minute."""
    (tmp_path / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    first = "import os, sys; from ponton_bridge import cli; os.getpid = lambda: 1"
    line = f"{first}; cli.PROGRAMS['slow'] = ('slow:main', 'x', 'slow'); sys.exit(cli.main(['slow']))"
    with subprocess.Popen(
        [sys.executable, "-c", line], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    ) as process:
        assert process.stdout
        assert b"importing\n" == process.stdout.readline()
        process.terminate()
        assert 128 + signal.SIGTERM == process.wait(20)


def test_says_which_part_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Tells the host what to install when a program's libraries are not there."""
    monkeypatch.setitem(PROGRAMS, "probe", ("ponton_nowhere.program:main", "operator", "probe"))
    assert EX_UNAVAILABLE == main(["probe"])
    assert "probe needs ponton_nowhere. Install ponton[operator]." in capsys.readouterr().err


def loaded(code: str) -> set[str]:
    """Give the top-level modules that a fresh interpreter has loaded after some code."""
    script = f"import sys\n{code}\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_itself_loads_nothing() -> None:
    """Costs no library before a program is chosen."""
    mine = loaded("import ponton_bridge.cli") - loaded("")
    assert {"ponton_bridge"} == mine - set(sys.stdlib_module_names)


def test_a_shard_loads_nothing_of_the_control_plane() -> None:
    """Keeps what a shard never uses out of 10,000 processes."""
    mine = loaded("import ponton_bridge.shard.program")
    assert {"slixmpp", "ponton_bridge"} <= mine
    assert set() == mine & set(FOREIGN)
    assert set() == mine & {"segno", "pygments", "aiodns", "neonize"}
