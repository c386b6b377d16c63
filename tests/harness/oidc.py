"""A real login server (npm's oidc-provider) in a process of its own; used by the tests of the pages' login.

tests/setup-browser.sh brings the package along. Who logs in there says a name and is believed; what the server then
says of them is `people`.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness.redis import HOST, free_port

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / ".tools" / "oidc" / "node_modules"
START = 60.0  # seconds to wait for "ready"; a start takes 1 s, a busy machine is slower
STOP = 5.0
CLIENT, SECRET = "ponton", "a secret: of 100% tests+only"  # with all that a form would encode
PUBLIC = "ponton-public"


class ProviderFailed(Exception):
    """The server did not start; the text is what it wrote."""


@dataclass
class LoginServer:
    """One server."""

    issuer: str
    process: asyncio.subprocess.Process

    async def stop(self) -> None:
        """End it."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), STOP)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def login_server(
    folder: Path, back: str, people: Mapping[str, Mapping[str, object]], *, lean: bool = True
) -> AsyncIterator[LoginServer]:
    """Run one until the block ends; `back` is where browsers are sent back to. Raises ProviderFailed.

    `lean`: its tokens hold no claims but the subject, the rest is at the userinfo endpoint.
    """
    port = free_port()
    issuer = f"http://{HOST}:{port}"
    usual = {"redirect_uris": [back], "response_types": ["code"], "grant_types": ["authorization_code"]}
    told = {
        "issuer": issuer,
        "port": port,
        "lean": lean,
        "claims": sorted({name for claims in people.values() for name in claims if not name.startswith("email")}),
        "people": people,
        "clients": [
            usual | {"client_id": CLIENT, "client_secret": SECRET},
            usual | {"client_id": PUBLIC, "token_endpoint_auth_method": "none"},
        ],
    }
    file, log = await asyncio.to_thread(_prepared, folder, json.dumps(told))
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).with_name("oidc_provider.mjs")),
        str(file),
        str(PACKAGES),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=log.open("wb"),
    )
    server = LoginServer(issuer, process)
    try:
        assert process.stdout
        line = await asyncio.wait_for(process.stdout.readline(), START)
        if line.strip() != b"ready":
            raise ProviderFailed(log.read_text())
        yield server
    finally:
        await server.stop()


def _prepared(folder: Path, told: str) -> tuple[Path, Path]:
    """Write what the server is told; gives that file, and the one for what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "login-server.json", folder / "login-server.log"
    file.write_text(told)
    return file, log
