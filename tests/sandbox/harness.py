"""A sandbox process for a test: started on free ports, waited for, ended by its process id.

async with running_sandbox(tmp_path, fresh_count=100) as sandbox:
    alice = await sandbox.account("Alice")
    argv, env = sandboxed(["ponton", "shard"], os.environ, sandbox.config_file)
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.sandbox.client import SandboxClient

ROOT = Path(__file__).parent.parent.parent  # of the repository, from where `tests` is importable
START_PATIENCE = 30.0  # seconds until both ports are open; half a second alone, more on a loaded machine
END_PATIENCE = 5.0  # seconds between SIGTERM and SIGKILL


@asynccontextmanager
async def running_sandbox(folder: Path, **options: object) -> AsyncIterator[SandboxClient]:
    """Run a sandbox in a process of its own, with its files below `folder`/sandbox.

    `options` are those of `python -m tests.sandbox serve`: port, control_port, qr_refs, fresh_count, linger. What
    it logs is in `folder`/sandbox/sandbox.log. Raises RuntimeError with that log if it does not start.
    """
    home = folder / "sandbox"
    home.mkdir(parents=True, exist_ok=True)
    flags = [flag for name, value in options.items() for flag in (f"--{name.replace('_', '-')}", str(value))]
    with (home / "sandbox.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.sandbox", "serve", "--follow-stdin", "--folder", str(home), *flags),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,  # closes when we die, and so does the sandbox
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        ready = await _ready(process, home / "sandbox.log")
        async with SandboxClient(ready["control"], Path(ready["config"])) as client:
            yield client
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> dict[str, str]:
    if process.stdout is None:
        raise RuntimeError("the sandbox has no standard output")
    try:
        async with asyncio.timeout(START_PATIENCE):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        said = await asyncio.to_thread(log.read_text, errors="replace")
        raise RuntimeError(f"the sandbox did not start: {said[-2000:]}")
    ready: dict[str, str] = json.loads(line)
    return ready


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(END_PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
