"""Somebody with a copy of a shard's Secret, outside of its pod: tries its stream and its Redis user.

Called by `test_isolation.py`. The ways in are forwarded ports, so network policies do not help.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from tests.cluster.release import DOMAIN, SERVED, Release
from tests.cluster.scene import trusted
from tests.harness.prosody import Prosody
from tests.harness.shard_stream import ShardStream, StreamClosedError


@dataclass(frozen=True)
class Rogue:
    """A copy of the Secret `files`, and where Prosody and Redis are reached."""

    release: Release
    files: dict[str, str]
    shards: int
    redis: int

    async def stream(self, owner: str, epoch: int) -> str:
        """Open a shard's stream as an owner; gives the error's condition, '' when it was let in."""
        server = SimpleNamespace(component=SERVED, ports=SimpleNamespace(shards=self.shards))
        try:
            stream = await ShardStream.open(
                cast("Prosody", server),
                owner=f"{owner}@{DOMAIN}",
                epoch=epoch,
                instance="rogue",
                secret=self.files["component-secret"],
                tls=trusted(self.release),
            )
        except StreamClosedError as refused:
            return refused.condition or "closed"
        await stream.abort()
        return ""

    async def command(self, *line: str) -> str:
        """Give Redis a command as the shard's user; gives the name of the refusal, '' when it was done."""
        parts = urlsplit(self.files["redis-url"])
        login = parts.netloc.rpartition("@")[0]
        client = Redis.from_url(urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{self.redis}")), socket_timeout=10)
        try:
            await client.execute_command(*line)  # type: ignore[no-untyped-call]  # redis leaves it untyped
        except (AuthenticationError, NoPermissionError) as refused:
            return type(refused).__name__
        finally:
            await client.aclose()
        return ""
