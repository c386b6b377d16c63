"""How a Redis client of ours is made: no retries of its own, every call with a deadline, text instead of bytes.

Retrying is the caller's: a shard goes on without Redis, a door tells its owner. Called by the neighbours only.
"""

from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

CALL: Final = 5.0  # seconds for a call that does not wait by intention
# Everything that counts as "Redis is away": refused credentials too (the user may not have been made again yet).
AWAY: Final = (RedisError, OSError, TimeoutError)


def connect(url: str, *, connections: int, longest: float = 0.0) -> "Redis":
    """Make a client; `longest` is how many seconds a blocking command may wait on purpose."""
    return Redis.from_url(
        url,
        decode_responses=True,
        max_connections=connections,
        socket_timeout=CALL + longest,
        socket_connect_timeout=CALL,
        retry=Retry(NoBackoff(), 0),
    )
