"""Control of mod_component_shards over its token-protected HTTP view: assign, release, status, purge.

Called by the drivers when a shard starts and when an account goes. The standard library's client in a thread, with
deadlines; trust comes from the authority that the gateway names, never from the environment.
"""

import asyncio
import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ponton_bridge.model.errors import HostError

SECONDS: Final = 5.0  # for connecting, and for each read
# Threads of its own: a Prosody that hangs must not keep the files of the runtime waiting.
_THREADS: Final = ThreadPoolExecutor(8, thread_name_prefix="prosody")
_MAX_ANSWER: Final = 65_536  # bytes; a status is 300


class ProsodyUnreachable(HostError):
    """No answer, or none that can be understood."""


class ProsodyRefused(HostError):
    """The module answered with an error; `error` is its word: conflict, bad-request, unauthorized, and so on."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Prosody refused: {error}.")
        self.error = error


@dataclass(frozen=True, slots=True)
class ProsodyControl:
    """One gateway's control; `url` of its `shards` path, `ca` the authority's PEM text for https ('' the system's)."""

    url: str
    domain: str
    token: str
    ca: str = ""

    async def assign(self, owner: str, epoch: int) -> None:
        """Raise the owner's fence to an epoch: from now on stanzas wait for its shard, older streams are closed."""
        await self._post("assign", owner, epoch)

    async def release(self, owner: str) -> None:
        """Forget the owner's queue, keep the fence; harmless when there is no such owner."""
        await self._forget("release", owner)

    async def purge(self, owner: str) -> None:
        """Forget the owner altogether, the fence too: only when no old secret can be anywhere any more."""
        await self._forget("purge", owner)

    async def status(self, owner: str) -> dict[str, Any] | None:
        """Give what the module holds of an owner (epoch, connected, waiting, unacked …), None for nothing."""
        try:
            return await self._post("status", owner)
        except ProsodyRefused as refused:
            if refused.error == "item-not-found":
                return None
            raise

    async def front_desk_connected(self) -> bool:
        """Tell whether the front desk's stream is open: the cheapest proof that the view takes our token."""
        whole = await asyncio.get_running_loop().run_in_executor(_THREADS, self._request, None)
        desk = whole.get("gateway")
        return isinstance(desk, dict) and desk.get("connected") is True

    async def _forget(self, action: str, owner: str) -> None:
        try:
            await self._post(action, owner)
        except ProsodyRefused as refused:
            if refused.error != "item-not-found":
                raise

    async def _post(self, action: str, owner: str, epoch: int | None = None) -> dict[str, Any]:
        body = {"action": action, "owner": owner} | ({} if epoch is None else {"epoch": epoch})
        return await asyncio.get_running_loop().run_in_executor(_THREADS, self._request, json.dumps(body).encode())

    def _request(self, body: bytes | None) -> dict[str, Any]:
        """Send a control, or with none ask for the whole with one shard of it."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Host": self.domain,  # Prosody finds the component by it
        }
        connection = self._connection()
        try:
            path = urlsplit(self.url).path
            connection.request(*(("GET", f"{path}?limit=1") if body is None else ("POST", path)), body, headers)
            answer = connection.getresponse()
            text = answer.read(_MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise ProsodyUnreachable("Prosody's HTTP view does not answer.") from error
        finally:
            connection.close()
        try:
            value = json.loads(text) if text else {}
        except ValueError:
            value = {}
        if answer.status in {http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT} and isinstance(value, dict):
            return value
        known = str(value.get("error", "")) if isinstance(value, dict) else ""
        raise ProsodyRefused(known or http.client.responses.get(answer.status, str(answer.status)).lower())

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context(cadata=self.ca or None)
            return http.client.HTTPSConnection(host, parts.port, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=SECONDS)
