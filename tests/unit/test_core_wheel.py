"""The hook that puts the core into a wheel: nothing unless asked, the right build and name for each machine."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

HOOK = Path(__file__).resolve().parents[2] / "bridge" / "whatsapp-core" / "hatch_hook.py"
INTERFACE = "hatchling.builders.hooks.plugin.interface"


class Hook(Protocol):
    """The hook's class, which is in a file that is no module."""

    root: str

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Work on a wheel."""


class Interface:
    """As much of hatchling's class as the hook uses."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """The hook over a tree whose build script says what it was asked."""
    stand_in = ModuleType(INTERFACE)
    stand_in.__dict__["BuildHookInterface"] = Interface
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, INTERFACE, stand_in)
    spec = importlib.util.spec_from_file_location("hatch_hook", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    place = tmp_path / module.HERE
    (place / "build").mkdir(parents=True)
    (place / "build.sh").write_text('echo "$GOOS $GOARCH" > "$1"\n')
    made: Hook = module.CoreHook(tmp_path)
    return made


def built(hook: Hook) -> dict[str, Any]:
    """Let the hook work on a wheel."""
    data: dict[str, Any] = {"shared_scripts": {}, "pure_python": True}
    hook.initialize("standard", data)
    return data


def test_wheel_is_pure_unless_asked(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build without Go is a build."""
    monkeypatch.delenv("PONTON_WHEEL_CORE", raising=False)
    monkeypatch.setenv("PATH", "")
    assert {"shared_scripts": {}, "pure_python": True} == built(hook)


@pytest.mark.parametrize(("machine", "goarch"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_wheel_with_the_core(hook: Hook, monkeypatch: pytest.MonkeyPatch, machine: str, goarch: str) -> None:
    """The binary for that machine goes where a shard looks for it, and the wheel's name says for what it is."""
    monkeypatch.setenv("PONTON_WHEEL_CORE", machine)
    data = built(hook)
    [(source, name)] = data["shared_scripts"].items()
    assert (f"linux {goarch}\n", "ponton-whatsapp") == (Path(source).read_text(), name)
    assert (False, f"py3-none-manylinux2014_{machine}.musllinux_1_1_{machine}") == (data["pure_python"], data["tag"])


def test_unknown_machine(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said which there are."""
    monkeypatch.setenv("PONTON_WHEEL_CORE", "vax")
    with pytest.raises(ValueError, match="x86_64, aarch64"):
        built(hook)


def test_failed_build_fails(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel without the core that was asked for is never made."""
    monkeypatch.setenv("PONTON_WHEEL_CORE", "x86_64")
    (Path(hook.root) / "bridge/whatsapp-core/build.sh").write_text("exit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        built(hook)
