"""Start a program of the lab, see that it is still there, end it; used by everything that runs something."""

import asyncio
import asyncio.subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL; Dino needs about one to close its database


class LabError(Exception):
    """The lab itself failed: a program ended or a condition did not come true in its time."""


class Program:
    """One running program with its output in a file.

    `start` raises FileNotFoundError when the program is not installed.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *line: str, log: Path, environ: dict[str, str] | None = None) -> "Program":
        """Run `line` with `environ` alone as its environment (None: ours)."""
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *line, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, env=environ
            )
        return cls(process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL; returns when the process is reaped."""
        if self.running:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _GRACE)
            except TimeoutError:
                self._process.kill()
        await self._process.wait()


async def output(*line: str, environ: dict[str, str] | None = None, data: bytes = b"") -> bytes:
    """Run a short command to its end and return what it printed; raises LabError when it fails."""
    process = await asyncio.create_subprocess_exec(
        *line,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environ,
    )
    out, err = await process.communicate(data)
    if process.returncode:
        raise LabError(f"{line[0]} failed: {err.decode(errors='replace').strip()[-400:]}")
    return out


async def until(what: str, condition: Callable[[], Awaitable[bool]], seconds: float, step: float = 0.2) -> None:
    """Wait until `condition` holds, looking every `step` seconds; LabError names `what` when it does not."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise LabError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(step)
