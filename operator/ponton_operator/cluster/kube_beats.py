"""Heartbeats of a gateway's shards, read from its Redis in pages, and the portal's open pages. Called by the scaler.

The URL of the Redis stands in a Secret that the gateway names; it is read again now and then, since a host may change
the password. A Redis that is away gives no heartbeats, and then nothing is decided by them.
"""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.contract import Happening, Heartbeat
from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import KubeError
from ponton_operator.cluster.kube_kinds import SECRETS
from ponton_operator.resources.gateway import BridgeGateway

PAGE: Final = 500  # accounts of one round trip; deciding about them takes some hundredths of a second
ANSWER: Final = 10.0  # seconds for a page
FRESH: Final = 300.0  # seconds until the Secret is read again

Door = Callable[[str, str], DoorClient]  # URL, gateway


@dataclass(slots=True)
class _Open:
    """A gateway's connection; `url` to see a change, `read` when the Secret was (monotonic seconds)."""

    url: str
    door: DoorClient
    read: float


@dataclass(slots=True)
class Beats:
    """The connections of all gateways."""

    api: KubeApi
    clock: Callable[[], float]  # monotonic seconds
    door: Door = DoorClient
    _open: dict[tuple[str, str], _Open] = field(default_factory=dict)

    async def pages(
        self, gateway: BridgeGateway, names: Sequence[str]
    ) -> AsyncIterator[tuple[Sequence[str], dict[str, Heartbeat]]]:
        """Give the accounts page by page with the heartbeats that there are; other work goes on between two pages."""
        door = await self._door(gateway)
        for start in range(0, len(names), PAGE):
            page = names[start : start + PAGE]
            found: dict[str, Heartbeat] = {}
            if door is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(ANSWER):
                        found = await door.heartbeats(page)
            yield page, found
            await asyncio.sleep(0)

    async def record(self, gateway: BridgeGateway, happened: Sequence[tuple[str, Happening]]) -> None:
        """Keep what happened to accounts, for the host's pages; with Redis away it is not kept."""
        door = await self._door(gateway) if happened else None
        if door is not None:
            with suppress(HostError, TimeoutError):
                async with asyncio.timeout(ANSWER):
                    await door.record(happened)

    async def open_pages(self, gateway: BridgeGateway) -> dict[str, int] | None:
        """Give the pages that are open by replica of the gateway's portal, None when Redis cannot say."""
        door = await self._door(gateway)
        if door is None:
            return None
        with suppress(HostError, TimeoutError):
            async with asyncio.timeout(ANSWER):
                return await door.open_pages()
        return None

    async def forget(self, namespace: str, name: str) -> None:
        """The gateway is gone."""
        if opened := self._open.pop((namespace, name), None):
            await _close(opened.door)

    async def close(self) -> None:
        """Close all connections."""
        for namespace, name in list(self._open):
            await self.forget(namespace, name)

    async def _door(self, gateway: BridgeGateway) -> DoorClient | None:
        """Give the gateway's connection, None while its Secret says none."""
        key = (gateway.metadata.namespace, gateway.metadata.name)
        opened = self._open.get(key)
        if opened is not None and self.clock() - opened.read < FRESH:
            return opened.door
        url = await self._url(gateway)
        if opened is not None and url in {opened.url, None}:
            opened.read = self.clock()
            return opened.door
        await self.forget(*key)
        if url is None:
            return None
        try:
            opened = self._open[key] = _Open(url, self.door(url, gateway.metadata.name), self.clock())
        except ValueError:  # no URL of a Redis; the gateway's conditions say so
            return None
        return opened.door

    async def _url(self, gateway: BridgeGateway) -> str | None:
        ref = gateway.spec.redis.url_ref
        try:
            secret = await self.api.get(SECRETS, gateway.metadata.namespace, ref.name)
            return b64decode((secret.get("data") or {})[ref.key]).decode().strip() or None
        except (KubeError, KeyError, ValueError):
            return None


async def _close(door: DoorClient) -> None:
    with suppress(OSError, TimeoutError):
        await door.close()
