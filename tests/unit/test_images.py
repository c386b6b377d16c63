"""The Containerfiles, read as text: what an image holds, as whom it runs, and nothing of the sandbox in a release.

That they build and run is tried on a cluster (tests/cluster).
"""

import re
import tomllib
from pathlib import Path

import pytest

from tests.sandbox import launch

ROOT = Path(__file__).parents[2]
RELEASED = ("bridge/Containerfile", "operator/Containerfile")
SANDBOX = "tests/sandbox/Containerfile"
CORES = {"bridge/Containerfile": "/src/core", SANDBOX: "/src/core-sandbox"}  # and where the WhatsApp core is built
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def steps(name: str) -> list[str]:
    """Give the instructions of a Containerfile, each on one line, without comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def final(name: str) -> list[str]:
    """Give the instructions of the image itself, after the last FROM."""
    lines = steps(name)
    return lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]


def words(requirements: list[str]) -> set[str]:
    """Give the names of requirements."""
    return {re.split(r"[<>=~! ]", line)[0] for line in requirements}


@pytest.mark.parametrize("name", RELEASED)
def test_a_release_holds_nothing_of_the_sandbox(name: str) -> None:
    """It is built from wheels, and the core's sources for a shard; Ponton's wheel has two packages, none of tests."""
    copies = [line for line in steps(name) if line.startswith(("COPY ", "ADD "))]
    expected = ["COPY wheels /wheels", "COPY --from=build /opt/ponton /opt/ponton"]
    if name == RELEASED[0]:
        program = "COPY --from=core /src/core/ponton-whatsapp /opt/ponton/bin/ponton-whatsapp"
        expected = ["COPY bridge/whatsapp-core /src", *expected, program]
    assert expected == copies
    assert not any("sandbox" in line or "tests/" in line.replace("(test|tests|", "") for line in steps(name))
    assert ["bridge/ponton_bridge", "operator/ponton_operator"] == (
        PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    )


@pytest.mark.parametrize("name", [*RELEASED, SANDBOX])
def test_an_image_runs_as_nobody_and_writes_no_bytecode(name: str) -> None:
    """Under a number, so that Kubernetes can see that it is not root; the base is pinned and can be replaced."""
    lines = final(name)
    assert "USER 65532:65532" in lines
    assert "PYTHONDONTWRITEBYTECODE=1" in next(line for line in lines if line.startswith("ENV "))
    assert "ARG BASE=docker.io/library/python:3.11-slim-bookworm" == steps(name)[0]
    stages = ["FROM ${GO} AS core"] * (name in CORES) + ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert stages == [line for line in steps(name) if line.startswith("FROM ")]
    assert lines.index("USER 65532:65532") > max(
        i for i, line in enumerate(lines) if line.startswith(("RUN ", "COPY "))
    )


@pytest.mark.parametrize("name", [*RELEASED, SANDBOX])
def test_a_build_needs_no_network_and_leaves_no_cache(name: str) -> None:
    """Every installation is from the wheels; bytecode is checked by hash, so that dates change nothing."""
    (install,) = [line for line in steps(name) if "pip --python" in line]
    assert "--no-index --find-links /wheels --no-cache-dir --no-compile" in install
    compiles = [line for line in steps(name) if "compileall" in line]
    assert all("--invalidation-mode unchecked-hash" in line for line in compiles)
    assert 2 == len(compiles)
    assert not any("apt-get" in line or "curl" in line for line in steps(name))


def test_a_shard_gets_what_its_extra_names_and_nothing_of_the_control_plane() -> None:
    """The Containerfile spells the extra out, because neonize comes without its own requirements."""
    (install,) = [line for line in steps(RELEASED[0]) if "pip --python" in line]
    named = [part.split()[1:] for part in install.split(" && ") if part.startswith("$pip")]
    assert ["--no-deps", "ponton", "neonize"] == named[0]
    assert words(PROJECT["project"]["optional-dependencies"]["bridge"]) - {"neonize"} == set(named[1])
    assert '"ponton[operator]"' in next(line for line in steps(RELEASED[1]) if "pip --python" in line)


def test_the_sandbox_brings_what_its_group_names() -> None:
    """Beside what a shard has."""
    (install,) = [line for line in steps(SANDBOX) if "pip --python" in line]
    named = [part.split()[1:] for part in install.split(" && ") if part.startswith("$pip")]
    extra = words(PROJECT["project"]["optional-dependencies"]["bridge"]) - {"neonize"}
    assert extra | words(PROJECT["dependency-groups"]["sandbox"]) == set(named[1])


def test_a_build_sees_wheels_and_the_sandbox_only() -> None:
    """Whatever else lies in a checkout (secrets, demos) cannot get into an image."""
    lines = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    assert "*" == lines[1]
    seen = {"wheels", "bridge", "bridge/whatsapp-core", "tests", "tests/__init__.py", "tests/sandbox"}
    assert seen == {line[1:] for line in lines if line[:1] == "!"}
    assert {"*", "bridge/*", "bridge/whatsapp-core/build", "tests/*", "**/__pycache__"} == {
        line for line in lines[1:] if line[:1] != "!"
    }


@pytest.mark.parametrize(("name", "folder"), CORES.items(), ids=["release", "sandbox"])
def test_the_core_is_built_in_a_stage_of_its_own(name: str, folder: str) -> None:
    """From its sources, unless the context brings it; what trusts the sandbox is in the sandbox's image alone."""
    (line,) = [line for line in steps(name) if "build.sh" in line]
    program = f"{folder}/ponton-whatsapp"
    tag = " sandbox" if name == SANDBOX else ""
    assert f"RUN [ -x {program} ] || sh /src/build.sh {program}{tag}" == line
    (version,) = re.findall(r"^go (\d+\.\d+)", (ROOT / "bridge/whatsapp-core/go.mod").read_text(), flags=re.MULTILINE)
    assert f"ARG GO=docker.io/library/golang:{version}-bookworm" == steps(name)[1]


def test_the_sandbox_finds_its_core_where_its_launcher_looks() -> None:
    """The launcher's folder, seen from where the image has the launcher."""
    inside = launch.CORE_FOLDER.relative_to(ROOT)
    assert f"COPY --from=core /src/core-sandbox /opt/sandbox/{inside}" in final(SANDBOX)
    assert "COPY tests/sandbox /opt/sandbox/tests/sandbox" in steps(SANDBOX)


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_image_is_the_command_line(name: str) -> None:
    """Its arguments are those of `ponton`."""
    assert 'ENTRYPOINT ["/opt/ponton/bin/ponton"]' in final(name)
