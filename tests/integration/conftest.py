"""What several tests of coordination begin with: a Redis of their own, and the clients that look at it.

A module says by its KEYS of which gateway they are. One that needs something else has a fixture of its own.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.door import DoorClient
from ponton_bridge.coordination.client.wire import Wires
from tests.harness.redis import RedisServer, running_redis


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of our own."""
    async with running_redis(tmp_path) as started:
        yield started


@pytest.fixture
async def door(server: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[DoorClient]:
    """The control plane's client."""
    client = DoorClient(server.url, request.module.KEYS.gateway)
    yield client
    await client.close()


@pytest.fixture
async def raw(server: RedisServer) -> AsyncIterator[Wires]:
    """Connections that may do everything."""
    made = Wires(server.url, 5)
    yield made
    await made.close()
