"""A private, real Prosody on free ports: for integration tests, the demo and the benches.

    async with running_prosody(tmp_path, users={"alice": "secret"}) as prosody:
        prosody.ports.shards                      # where component streams connect
        prosody.shard_secret("alice@example.test", epoch=1)
        await prosody.kill(); await prosody.start()

Needs the `prosody` program and Debian's prosody-modules; nothing outside `root` is written. Not tied to
pytest: everything that goes wrong is a `ProsodyError` with the end of the log.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.harness.authority import Authority
from tests.harness.prosody_config import Layout, LuaValue, Options, Ports, Secrets, render

NAMESPACE = "urn:component-shards:1"
_START_DEADLINE = 30.0  # seconds; measured: 0.6 s on an idle machine
_STOP_DEADLINE = 15.0  # seconds
_REFUSED_MODULE = "Error initializing module 'component_shards'"  # what the log says then
_POLL = 0.02  # seconds between two looks at a condition that sends no event


class ProsodyError(RuntimeError):
    """The private Prosody did not start, answer or end; the message carries the end of its log."""


def derive_secret(master: str, domain: str, role: str, owner: str, epoch: int) -> str:
    """The secret of one stream (component-shards/1, section 1.3); `owner` is empty for the front desk."""
    message = "\n".join((NAMESPACE, domain, role, owner, str(epoch)))
    return hmac.new(master.encode(), message.encode(), hashlib.sha256).hexdigest()


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports of 127.0.0.1 that were free a moment ago."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


class Prosody:
    """One private Prosody; made by `running_prosody`, which also starts and stops it.

    domain, component, upload: the three hosts. ports, secrets: how to reach them. ca_file: the CA (PEM)
    that signed every certificate. layout: its files. `process` is None while it is down.
    """

    def __init__(self, root: Path, *, domain: str, component: str, upload: str, options: Options) -> None:
        self.domain = domain
        self.component = component
        self.upload = upload
        self.options = options
        self.layout = Layout(root)
        self.ports = Ports(*free_ports(5))
        self.secrets = Secrets(secrets.token_hex(32), secrets.token_hex(16), secrets.token_hex(16))
        self.process: asyncio.subprocess.Process | None = None
        self.layout.data.mkdir(parents=True, exist_ok=True)
        authority = Authority(root / "ca")
        self.ca_file = authority.ca_file
        self.authority = authority
        self._certificate = authority.issue("server", [domain, component, upload, "localhost", "127.0.0.1"])
        (root / "certificates").mkdir(exist_ok=True)
        self.write_config()

    def write_config(self, options: Options | None = None) -> None:
        """Write the configuration again, with other options if given; it counts from the next start."""
        self.options = options or self.options
        text = render(
            layout=self.layout,
            domain=self.domain,
            component=self.component,
            upload=self.upload,
            ports=self.ports,
            secrets=self.secrets,
            certificate=self._certificate,
            options=self.options,
            as_root=os.geteuid() == 0,
        )
        self.layout.config.touch(mode=0o600)
        self.layout.config.write_text(text)

    # --- its process ---

    @property
    def pid(self) -> int:
        """The pid of the running server."""
        if self.process is None:
            raise self._error("prosody is not running")
        return self.process.pid

    async def start(self, *, deadline: float = _START_DEADLINE) -> None:
        """Start the server and wait until each port answers and the gateway component is loaded."""
        if self.process is not None:
            raise self._error("prosody runs already")
        program = shutil.which("prosody")
        if program is None:
            raise ProsodyError("no program named prosody: install the packages prosody and prosody-modules")
        tied = shutil.which("setpriv")  # so that a killed test run leaves no server behind
        prefix = [tied, "--pdeathsig", "KILL"] if tied else []
        with self.layout.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *prefix,
                program,
                "--config",
                str(self.layout.config),
                "-F",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            async with asyncio.timeout(deadline):
                await self._ready(self.process)
        except TimeoutError:
            await self.kill()
            raise self._error(f"prosody was not ready after {deadline} s") from None
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """End the server the clean way (SIGTERM); does nothing when it is down."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it by kill -9: what was not on disk is gone; does nothing when it is down."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """A clean stop and a new start, on the same ports and data."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: the server hangs with its connections open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    async def shell(self, command: str) -> str:
        """One line of Prosody's own admin shell, e.g. `module:reload("component_shards")`; its answer."""
        program = shutil.which("prosodyctl") or "prosodyctl"
        process = await asyncio.create_subprocess_exec(
            program,
            "--config",
            str(self.layout.config),
            "shell",
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise self._error(f"admin shell: {out.decode(errors='replace')}")
        return out.decode(errors="replace")

    # --- who uses it ---

    def add_user(self, local: str, password: str) -> str:
        """Make (or change) the account `local`@domain, at once, also while running; returns its bare JID."""
        folder = self.layout.data / _encoded(self.domain) / "accounts"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{_encoded(local)}.dat"
        fresh = target.with_suffix(".new")
        fresh.touch(mode=0o600)
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        fresh.write_text(f'return {{\n\t["password"] = "{quoted}";\n}};\n')
        fresh.replace(target)
        return f"{local}@{self.domain}"

    def shard_secret(self, owner: str, epoch: int) -> str:
        """The handshake secret of the shard of `owner` (a bare JID) in `epoch`."""
        return derive_secret(self.secrets.master, self.component, "shard", owner, epoch)

    def gateway_secret(self, epoch: int) -> str:
        """The derived secret of the front desk in `epoch` (`secrets.gateway` is the plain one, without epoch)."""
        return derive_secret(self.secrets.master, self.component, "gateway", "", epoch)

    # --- what it says ---

    def log_text(self) -> str:
        """The whole log so far."""
        return self.layout.log.read_text(errors="replace") if self.layout.log.exists() else ""

    async def http(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        host: str | None = None,
    ) -> tuple[int, str]:
        """One plain HTTP request to Prosody; `body` goes as JSON. Returns the status code and the body."""
        payload = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"Host: {host or self.component}", "Connection: close"]
        if token is not None:
            head.append(f"Authorization: Bearer {token}")
        if payload:
            head.append("Content-Type: application/json")
        head.append(f"Content-Length: {len(payload)}")
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports.http)
        try:
            writer.write("\r\n".join([*head, "", ""]).encode() + payload)
            await writer.drain()
            raw = await reader.read()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        start, _, rest = raw.partition(b"\r\n\r\n")
        if not start.startswith(b"HTTP/"):
            raise self._error(f"no HTTP answer to {method} {path}")
        return int(start.split(b" ", 2)[1]), _dechunked(start, rest).decode()

    async def view(self, path: str = "/shards") -> Any:  # noqa: ANN401 - JSON is whatever it is
        """The module's JSON view, read with the admin token."""
        status, text = await self.http("GET", path, token=self.secrets.admin_token)
        if status != 200:
            raise self._error(f"GET {path} answered {status}")
        return json.loads(text)

    async def control(self, action: str, owner: str, epoch: int | None = None) -> tuple[int, Any]:
        """Control over HTTP: `action` is assign, release, status or purge. Returns status code and JSON."""
        body: dict[str, object] = {"action": action, "owner": owner}
        if epoch is not None:
            body["epoch"] = epoch
        status, text = await self.http("POST", "/shards", body, token=self.secrets.admin_token)
        return status, json.loads(text) if text.strip() else None

    async def metrics(self) -> dict[str, float]:
        """The samples of /metrics that belong to the gateway's host, by name without labels and host."""
        _, text = await self.http("GET", "/metrics")
        samples: dict[str, float] = {}
        for line in text.splitlines():
            if line.startswith("#") or f'host="{self.component}"' not in line:
                continue
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            extra = [x for x in labels.split(",") if not x.startswith("host=")]
            samples[name + ("{" + ",".join(extra) + "}" if extra else "")] = float(value.split()[0])
        return samples

    def rss_bytes(self) -> int:
        """Resident memory of the server, in bytes (Linux)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """CPU time that the server used so far, user and system, to the nanosecond (Linux)."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    # --- inside ---

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        known = len(self.log_text())
        while not await self._answers():
            if process.returncode is not None:
                raise self._error(f"prosody ended at once with {process.returncode}")
            _, refused, why = self.log_text()[known:].partition(_REFUSED_MODULE)
            if refused:
                raise self._error(f"prosody is not ready, it did not load a module{why.partition(chr(10))[0]}")
            await asyncio.sleep(_POLL)

    async def _answers(self) -> bool:
        if not all([await answers(port) for port in (self.ports.c2s, self.ports.http, self.ports.https)]):
            return False
        with suppress(OSError, ProsodyError):
            status, _ = await self.http("GET", "/shards", token=self.secrets.admin_token)
            return status == 200 and await answers(self.ports.shards)
        return False

    async def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), _STOP_DEADLINE)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise self._error(f"prosody did not end within {_STOP_DEADLINE} s of {number.name}") from None

    def _error(self, sentence: str) -> ProsodyError:
        tail = "\n".join(self.log_text().splitlines()[-15:])
        output = self.layout.output.read_text(errors="replace")[-1500:] if self.layout.output.exists() else ""
        return ProsodyError(f"{sentence}\n{tail}\n{output}")


@asynccontextmanager
async def running_prosody(
    root: Path,
    *,
    domain: str = "example.test",
    component: str = "whatsapp.example.test",
    upload: str = "upload.example.test",
    users: Mapping[str, str] | None = None,
    options: Options | None = None,
    component_options: Mapping[str, LuaValue] | None = None,
    start: bool = True,
) -> AsyncIterator[Prosody]:
    """A started Prosody below `root`, ended when the block is left.

    users: local part -> password. options: see `Options`; `component_options` is the short way to
    `Options(component=...)`, e.g. `{"component_shards_window": 8}`.
    """
    if options is None:
        options = Options(component=component_options or {})
    elif component_options is not None:
        raise ValueError("give component_options or options, not both")
    server = Prosody(root, domain=domain, component=component, upload=upload, options=options)
    for local, password in (users or {}).items():
        server.add_user(local, password)
    if start:
        await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def until(condition: Any, *, timeout: float = 10.0, what: str = "the condition") -> None:  # noqa: ANN401, ASYNC109 - any callable, sync or async
    """Wait until `condition()` (plain or async) is true; TimeoutError names `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        outcome = condition()
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not met within {timeout} s")
        await asyncio.sleep(_POLL)


async def answers(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _encoded(name: str) -> str:
    """A file name as Prosody's datamanager spells it."""
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in name)


def _dechunked(head: bytes, body: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        parts.append(body[:length])
        body = body[length + 2 :]
    return b"".join(parts)
