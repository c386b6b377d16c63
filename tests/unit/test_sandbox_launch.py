"""The launcher: sandboxed command lines and environments, and becoming the program that was asked for."""

import asyncio
import ctypes
import json
import mmap
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from ponton_bridge.whatsapp.core_driver import place
from tests.sandbox import launch
from tests.sandbox.launch import CONFIG_VARIABLE, DRIVER_VARIABLE, ROOT_VARIABLE, Config, environment, sandboxed

ROOT = Path(launch.__file__).parent.parent.parent


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A launchers' file."""
    path = tmp_path / "sandbox.json"
    Config("http://127.0.0.1:21000", "/tmp/ca.pem", "ab" * 32, "http://127.0.0.1:21001").write(path)  # noqa: S108
    return path


def test_file_is_read_as_it_was_written(config: Path) -> None:
    """The launchers' file comes back whole, and an older one is replaced as a whole."""
    first = Config.read(config)
    assert ("http://127.0.0.1:21000", "ab" * 32, "http://127.0.0.1:21001") == (first.proxy, first.root, first.control)
    second = Config("http://127.0.0.1:1", "ca", "00")
    second.write(config)
    assert second == Config.read(config)
    assert [config.name] == [path.name for path in config.parent.iterdir()]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"proxy": "x", "ca": "y", "root": "z", "surplus": 1}'])
def test_file_that_is_none(tmp_path: Path, text: str) -> None:
    """Anything else in its place is an error."""
    path = tmp_path / "sandbox.json"
    path.write_text(text)
    with pytest.raises((ValueError, TypeError)):
        Config.read(path)


def test_environment(config: Path) -> None:
    """Proxy and trust are set, what would lead around them is dropped, everything else is kept.

    The core that is built for tests is found before any other.
    """
    before = {
        "PATH": "/bin",
        "no_proxy": "*",
        "NO_PROXY": "*.whatsapp.net",
        "https_proxy": "http://x",
        "ALL_PROXY": "y",
    }
    made = environment(before, config)
    path = f"{launch.CORE_FOLDER}:/bin"
    assert ("http://127.0.0.1:21000", "/tmp/ca.pem", path) == (  # noqa: S108
        made["HTTPS_PROXY"],
        made["SSL_CERT_FILE"],
        made["PATH"],
    )
    assert {"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "PATH", CONFIG_VARIABLE, ROOT_VARIABLE} == set(made)
    assert "ab" * 32 == made[ROOT_VARIABLE]
    assert "whatsapp" not in made["NO_PROXY"]
    assert str(config) == made[CONFIG_VARIABLE]


def test_environment_is_stable(config: Path) -> None:
    """Sandboxing what is sandboxed changes nothing."""
    once = environment({"PATH": "/bin"}, config)
    assert once == environment(once, config)


@pytest.mark.parametrize(
    ("given", "chosen"),
    [({}, "core"), ({"PONTON_WHATSAPP": "neonize"}, "neonize")],
    ids=["nothing said", "said by the test"],
)
def test_driver_of_a_whole_run(
    config: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], chosen: str
) -> None:
    """Shards take the driver that the run names, unless their test names one; no other program hears of it."""
    monkeypatch.setenv(DRIVER_VARIABLE, "core")
    assert chosen == sandboxed(["python", "-m", "ponton_bridge.cli", "shard"], given, config)[1]["PONTON_WHATSAPP"]
    assert "PONTON_WHATSAPP" not in sandboxed(["python", "-m", "ponton_bridge.cli", "frontdesk"], {}, config)[1]


@pytest.mark.parametrize("said", [None, ""], ids=["nothing said", "nothing chosen"])
def test_usual_driver_is_the_core_where_it_is_built(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    """A run that names no driver takes the core once `make core` has built it, and neonize before."""
    monkeypatch.setattr(launch, "CORE_FOLDER", tmp_path)
    monkeypatch.delenv(DRIVER_VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(DRIVER_VARIABLE, said)
    shard = ["/venv/bin/ponton", "shard"]
    assert "neonize" == sandboxed(shard, {}, config)[1]["PONTON_WHATSAPP"]
    (tmp_path / place.PROGRAM).touch()
    assert "core" == sandboxed(shard, {}, config)[1]["PONTON_WHATSAPP"]
    assert "neonize" == sandboxed(shard, {"PONTON_WHATSAPP": "neonize"}, config)[1]["PONTON_WHATSAPP"]


@pytest.mark.parametrize(
    ("argv", "interpreter", "options", "program"),
    [
        (["python3", "-m", "mod", "-x"], "python3", [], ["-m", "mod", "-x"]),
        (
            ["/usr/bin/python3.11", "-u", "-X", "dev", "a.py", "-u"],
            "/usr/bin/python3.11",
            ["-u", "-X", "dev"],
            ["a.py", "-u"],
        ),
        (["/venv/bin/ponton", "shard"], sys.executable, [], ["/venv/bin/ponton", "shard"]),
        (["python", "-P", "-m", "mod"], "python", [], ["-m", "mod"]),
        (["mod:main", "arg"], sys.executable, [], ["mod:main", "arg"]),
    ],
    ids=["module", "script with options", "console script", "safe path already", "function"],
)
def test_command_lines(config: Path, argv: list[str], interpreter: str, options: list[str], program: list[str]) -> None:
    """An ordinary command line becomes one through the launcher, with the interpreter's options in front."""
    command, env = sandboxed(argv, {}, config)
    assert [interpreter, "-P", *options, launch.__file__, str(config), *program] == command
    assert "HTTPS_PROXY" in env


@pytest.mark.parametrize(
    "argv",
    [[], ["python3"], ["python3", "-u"], ["python3", "-c", "print()"]],
    ids=["nothing", "interpreter", "option", "text"],
)
def test_command_lines_without_a_program(config: Path, argv: list[str]) -> None:
    """A command line without a module, function or script cannot be sandboxed."""
    with pytest.raises(ValueError, match=r"program|module"):
        sandboxed(argv, {}, config)


async def run(command: list[str], env: dict[str, str], cwd: Path = ROOT) -> tuple[int | None, str, str]:
    """Run a command to its end: status, standard output, standard error."""
    child = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(child.communicate(), 20)
    return child.returncode, out.decode(), err.decode()


SHOW = """
import json, os, sys

def main():
    shown = {"argv": sys.argv[1:], "name": __name__, "proxy": os.environ["HTTPS_PROXY"], "first": sys.path[0]}
    print(json.dumps(shown))
    return 3

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.mark.parametrize("form", ["script", "module", "function"])
async def test_becomes_the_program(config: Path, tmp_path: Path, form: str) -> None:
    """Script, module and function run as the main program, with their arguments, exit status and module path."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "show.py").write_text(SHOW)
    argv = {
        "script": [sys.executable, str(folder / "show.py"), "a", "-b"],
        "module": [sys.executable, "-m", "show", "a", "-b"],
        "function": ["show:main", "a", "-b"],
    }[form]
    status, out, err = await run(*sandboxed(argv, os.environ, config), cwd=folder)
    assert 3 == status, err
    shown = json.loads(out)
    assert (["a", "-b"], "http://127.0.0.1:21000") == (shown["argv"], shown["proxy"])
    assert ("show" if form == "function" else "__main__") == shown["name"]
    assert str(folder) == shown["first"]


async def test_replaces_itself_in_an_unprepared_environment(config: Path, tmp_path: Path) -> None:
    """Started by hand, the launcher gives itself the environment before anything can copy the old one."""
    script = tmp_path / "block.py"
    script.write_text("print(open('/proc/self/environ').read().replace(chr(0), chr(10)))")
    command = [sys.executable, "-P", launch.__file__, str(config), str(script)]
    status, out, err = await run(command, {"PATH": os.environ["PATH"], "NO_PROXY": "*"})
    assert 0 == status, err
    assert "HTTPS_PROXY=http://127.0.0.1:21000" in out.split("\n")
    assert "NO_PROXY=*" not in out.split("\n")


async def test_our_package_hides_nothing(config: Path, tmp_path: Path) -> None:
    """The launcher's folder is not on the module path, where our `signal` would hide the standard one."""
    script = tmp_path / "standard.py"
    script.write_text("import signal\nprint(signal.SIGTERM.name)")
    status, out, err = await run(*sandboxed([sys.executable, str(script)], os.environ, config), cwd=tmp_path)
    assert (0, "SIGTERM\n") == (status, out), err


async def test_says_how_it_is_used() -> None:
    """Without a program the launcher prints its usage and fails."""
    status, _, err = await run([sys.executable, "-P", launch.__file__], dict(os.environ))
    assert 1 == status
    assert "CONFIG [python] [-m] PROGRAM" in err


def test_pin_is_swapped_in_memory_only(tmp_path: Path) -> None:
    """Every copy in a matching writable mapping is overwritten, the file on disk and other mappings are not."""
    old, new = os.urandom(32), os.urandom(32)
    for name in ("neonize-linux-x.so", "other.so"):
        (tmp_path / name).write_bytes(bytes(100) + old + bytes(50) + old + bytes(100))
    with ExitStack() as stack:
        mapped = {}
        for path in sorted(tmp_path.iterdir()):
            file = stack.enter_context(path.open("rb"))
            private = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
            mapped[path.name] = stack.enter_context(private)
        assert 2 == launch.swap_pin(new, old)
        assert 0 == launch.swap_pin(new, old)
        assert [new, new] == [mapped["neonize-linux-x.so"][at : at + 32] for at in (100, 182)]
        assert old == mapped["other.so"][100:132]
    assert 2 == (tmp_path / "neonize-linux-x.so").read_bytes().count(old)


def test_other_libraries_are_loaded_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook swaps nothing when another library is mapped."""
    monkeypatch.setattr(ctypes.CDLL, "__init__", ctypes.CDLL.__init__)
    monkeypatch.setattr(launch, "swap_pin", lambda *_args: pytest.fail("swapped for another library"))
    launch.arm(bytes(32))
    assert ctypes.CDLL(None).getpid() == os.getpid()


@pytest.mark.parametrize("hits", [0, 2])
def test_unexpected_library_stops_the_program(monkeypatch: pytest.MonkeyPatch, hits: int) -> None:
    """Where the pin is not found exactly once, the program ends before it can reach the real servers."""
    monkeypatch.setattr(ctypes.CDLL, "__init__", lambda _self, _name: None)
    monkeypatch.setattr(launch, "swap_pin", lambda *_args: hits)
    launch.arm(bytes(32))
    with pytest.raises(SystemExit, match=f"found {hits} times"):
        ctypes.CDLL("/somewhere/neonize-linux-amd64.so")


def test_library_is_swapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second mapping of the same library finds the pin swapped already, and that is no error."""
    swap = Mock(return_value=1)
    monkeypatch.setattr(ctypes.CDLL, "__init__", lambda _self, _name: None)
    monkeypatch.setattr(launch, "swap_pin", swap)
    launch.arm(b"R" * 32)
    for _ in range(2):
        ctypes.CDLL("/somewhere/neonize-linux-amd64.so")
    swap.assert_called_once_with(b"R" * 32)
