"""Puts the WhatsApp core into a wheel when asked to: `PONTON_WHEEL_CORE=x86_64 uv build --wheel`, or aarch64.

Called by hatchling for every wheel (pyproject.toml). Without the variable the wheel stays pure and is for every
machine; with it the core lands in the environment's `bin`, where a shard finds it. Needs Go, see build.sh.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "PONTON_WHEEL_CORE"
GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}
PROGRAM = "ponton-whatsapp"
HERE = Path("bridge/whatsapp-core")


class CoreHook(BuildHookInterface):
    """One build of the core per wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build the core and name the wheel after its machine; raises for an unknown machine or a failed build."""
        machine = os.environ.get(VARIABLE, "")
        if not machine:
            return
        if machine not in GOARCH:
            raise ValueError(f"{VARIABLE} is not one of {', '.join(GOARCH)}.")
        program = Path(self.root, HERE, "build", f"{PROGRAM}-{machine}")
        environment = os.environ | {"GOOS": "linux", "GOARCH": GOARCH[machine]}
        script = str(Path(self.root, HERE, "build.sh"))
        subprocess.run(["sh", script, str(program)], check=True, env=environment)  # noqa: S603, S607 - our own script
        build_data["shared_scripts"][str(program)] = PROGRAM
        build_data["pure_python"] = False
        # A static binary: it runs beside glibc and musl alike.
        build_data["tag"] = f"py3-none-manylinux2014_{machine}.musllinux_1_1_{machine}"
