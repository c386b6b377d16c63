"""The control plane's side of the Redis contract: commands to shards, heartbeats, live codes, the states stream.

Called by the doors and by operators. What needs Redis and cannot have it is a `RedisAway` with a sentence; a heartbeat
that cannot be read is none.
"""

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from redis.exceptions import ResponseError

from ponton_bridge.coordination.client.connecting import AWAY, connect
from ponton_bridge.coordination.contract import COMMANDS_MAX, Command, Heartbeat, Keys, LiveCode, Result, StateChange
from ponton_bridge.model.errors import HostError

LONGEST: Final = 60.0  # seconds that a blocking call may wait
PAGE: Final = 500  # heartbeats of one round trip
STATES_PAGE: Final = 1000  # entries of one read of the states stream
COMMANDS_TTL: Final = 3600  # seconds an unread command stream stays
CONNECTIONS: Final = 200  # each door that waits for a result holds one


class RedisAway(HostError):
    """Redis cannot be reached."""

    def __init__(self) -> None:
        super().__init__("The bridge cannot be reached at the moment. Please try again in a minute.")


class DoorClient:
    """One gateway's client for doors and operators."""

    def __init__(self, url: str, gateway: str, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = connect(url, connections=CONNECTIONS, longest=LONGEST)
        self._gateway = gateway
        self._clock = clock

    def _keys(self, account: str) -> Keys:
        return Keys(self._gateway, account)

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def command(self, account: str, verb: str, argument: str, seconds: float, keep: float) -> Result | None:
        """Ask a shard, wait up to `seconds` for its result; the shard may still do it within `keep` seconds.

        None when no result came in time. Raises RedisAway.
        """
        keys = self._keys(account)
        command = Command(secrets.token_hex(8), verb, self._clock() + max(seconds, keep), argument)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xadd(
                    keys.commands, cast("dict[Any, Any]", command.to_redis()), maxlen=COMMANDS_MAX, approximate=False
                )
                pipe.expire(keys.commands, COMMANDS_TTL)
                await pipe.execute()
            if seconds <= 0:
                return None
            asked = self._redis.blpop([keys.result(command.id)], timeout=min(seconds, LONGEST))
            found = await cast("Awaitable[list[str] | None]", asked)  # typed for both clients of the library at once
        except AWAY as error:
            raise RedisAway from error
        return Result(**json.loads(found[1])) if found else None

    async def heartbeat(self, account: str) -> Heartbeat | None:
        """Give the last heartbeat; None when there is none, or Redis is away."""
        return (await self.heartbeats([account])).get(account)

    async def heartbeats(self, accounts: Sequence[str]) -> dict[str, Heartbeat]:
        """Give the heartbeats that there are, read in pages; empty when Redis is away."""
        found: dict[str, Heartbeat] = {}
        try:
            for start in range(0, len(accounts), PAGE):
                page = accounts[start : start + PAGE]
                async with self._redis.pipeline(transaction=False) as pipe:
                    for account in page:
                        pipe.hgetall(self._keys(account).heartbeat)
                    for account, fields in zip(page, await pipe.execute(), strict=True):
                        if (beat := _beat(fields)) is not None:
                            found[account] = beat
        except AWAY:
            return found
        return found

    async def live_code(self, account: str) -> LiveCode | None:
        """Give the code that can be used now; None when there is none. Raises RedisAway."""
        try:
            text = await self._redis.get(self._keys(account).code)
        except AWAY as error:
            raise RedisAway from error
        return LiveCode(**json.loads(text)) if text else None

    async def states(self, after: str, seconds: float) -> list[tuple[str, StateChange]]:
        """Read state changes after a cursor ('0' = from the start), waiting up to `seconds`; raises RedisAway.

        Entries that cannot be read are left out; their cursors are passed all the same.
        """
        stream = Keys(self._gateway, "").states
        try:
            found = await self._redis.xread({stream: after}, STATES_PAGE, max(1, int(min(seconds, LONGEST) * 1000)))
        except AWAY as error:
            raise RedisAway from error
        return [
            (cursor, change)
            for _, entries in found
            for cursor, fields in entries
            if (change := _change(fields)) is not None
        ]

    async def delete_account(self, account: str) -> None:
        """Delete every key of an account; raises RedisAway."""
        try:
            async for key in self._redis.scan_iter(match=self._keys(account).prefix + "*", count=1000):
                await self._redis.delete(key)
        except AWAY as error:
            raise RedisAway from error

    # --- users: one per account, confined to its own keys ---

    async def supports_acl(self) -> bool:
        """Tell whether this Redis lets us make users; raises RedisAway."""
        try:
            await self._acl_raw("WHOAMI")
        except ResponseError:
            return False
        except AWAY as error:
            raise RedisAway from error
        return True

    async def make_user(self, account: str, password: str) -> str:
        """Make (or renew) the user of an account and give its name; raises NoAcl, RedisAway."""
        name = user_name(self._gateway, account)
        await self._acl("SETUSER", name, *rules(self._keys(account), password))
        return name

    async def delete_user(self, account: str) -> None:
        """Take an account's user away, and end its connections; raises NoAcl, RedisAway."""
        await self._acl("DELUSER", user_name(self._gateway, account))

    async def has_user(self, account: str) -> bool:
        """Tell whether the user is there: a Redis that was restarted may have lost it. Raises NoAcl, RedisAway."""
        return await self._acl("GETUSER", user_name(self._gateway, account)) is not None

    async def _acl(self, *words: str) -> object:
        try:
            return await self._acl_raw(*words)
        except ResponseError as error:
            raise NoAcl from error
        except AWAY as error:
            raise RedisAway from error

    async def _acl_raw(self, *words: str) -> object:
        answer: object = await self._redis.execute_command("ACL", *words)  # type: ignore[no-untyped-call]
        return answer


class NoAcl(HostError):
    """This Redis has no users, or does not let us make them."""

    def __init__(self) -> None:
        super().__init__("This Redis does not let the bridge make users, so accounts cannot be confined to their keys.")


# What a shard's client really calls, measured by its tests: nothing else is allowed.
_COMMANDS: Final = (
    "eval",
    "get",
    "set",
    "del",
    "hset",
    "hmget",
    "expire",
    "pexpire",
    "rpush",
    "xread",
    "xdel",
    "ping",
    "select",
    "hello",
)


def user_name(gateway: str, account: str) -> str:
    """Give the name of an account's Redis user."""
    return f"ponton-{gateway}-{account}"


def rules(keys: Keys, password: str) -> list[str]:
    """Give the ACL rules of an account's user: its own keys, and XADD alone on the states stream (Redis 7 selector)."""
    allowed = [f"+{command}" for command in _COMMANDS]
    return ["reset", "on", f">{password}", f"~{keys.prefix}*", *allowed, f"(+xadd ~{keys.states})"]


def _beat(fields: dict[str, str]) -> Heartbeat | None:
    try:
        return Heartbeat.from_redis(fields) if fields else None
    except ValueError:
        return None


def _change(fields: dict[str, str]) -> StateChange | None:
    try:
        return StateChange.from_redis(fields)
    except ValueError:
        return None
