"""The control plane's side of the Redis contract: commands to shards, heartbeats, live codes, states, what happened.

Called by the doors and by operators. What needs Redis and cannot have it is a `RedisAway` with a sentence; a heartbeat
that cannot be read is none.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from ponton_bridge.coordination.client.acl import NoAcl, acl, door_rules, door_user_name, rules, user_name
from ponton_bridge.coordination.client.wire import CALL, RedisAway, RedisRefused, Wires, entries, pairs
from ponton_bridge.coordination.contract import (
    COMMANDS_MAX,
    HISTORY_MAX,
    HISTORY_TTL,
    PAGES_TTL,
    Command,
    Door,
    Flat,
    Happening,
    Heartbeat,
    Keys,
    LiveCode,
    Result,
    StateChange,
)
from ponton_bridge.core.day import Day

__all__ = ["DoorClient", "NoAcl", "RedisAway", "door_user_name", "rules", "user_name"]

LONGEST: Final = 60.0  # seconds that a blocking call may wait
PAGE: Final = 500  # hashes of one round trip
STATES_PAGE: Final = 1000  # entries of one read of the states stream
COMMANDS_TTL: Final = 3600  # seconds an unread command stream stays
PAGES_KEPT: Final = 3600  # seconds that the portal's hash of open pages stays after its last word
SCAN: Final = 1000  # keys looked at in one round trip
CONNECTIONS: Final = 200  # each door that waits for a result holds one

F = TypeVar("F", bound=Flat)


class DoorClient:
    """One gateway's client for doors and operators; `clock` gives seconds since 1970."""

    def __init__(self, url: str, gateway: str, *, clock: Callable[[], float] = time.time) -> None:
        self._wires = Wires(url, CONNECTIONS)
        self._gateway = gateway
        self._clock = clock

    def _keys(self, account: str) -> Keys:
        return Keys(self._gateway, account)

    async def close(self) -> None:
        """Close all connections."""
        await self._wires.close()

    # ---- shards ------------------------------------------------------------------------------------------------

    async def command(self, account: str, verb: str, argument: str, seconds: float, keep: float) -> Result | None:
        """Ask a shard, wait up to `seconds` for its result; the shard may still do it within `keep` seconds.

        None when no result came in time. Raises RedisAway. The deadline is by Redis' clock, since hosts differ.
        """
        keys = self._keys(account)
        now, micros = await self._wires.call("TIME")
        deadline = int(now) + int(micros) / 1e6 + max(seconds, keep)
        command = Command(secrets.token_hex(8), verb, deadline, argument)
        fields = [part for pair in command.to_redis().items() for part in pair]
        await self._wires.calls([
            ["XADD", keys.commands, "MAXLEN", COMMANDS_MAX, "*", *fields],
            ["EXPIRE", keys.commands, COMMANDS_TTL],
        ])  # fmt: skip
        if seconds <= 0:
            return None
        wait = min(seconds, LONGEST)
        found = await self._wires.call("BLPOP", keys.result(command.id), wait, seconds=wait + CALL)
        with suppress(ValueError):
            return Result.from_json(found[1]) if found else None
        return None

    async def heartbeat(self, account: str) -> Heartbeat | None:
        """Give the last heartbeat, with the state told since; None when there is none, or Redis is away."""
        return (await self.fresh([account])).get(account)

    async def fresh(self, accounts: Sequence[str]) -> dict[str, Heartbeat]:
        """Give the heartbeats that there are, each with the state told since; what Redis does not give is left out."""
        beats, states = await self.heartbeats(accounts), dict[str, StateChange]()
        with suppress(RedisAway):
            states = await self._newest(beats)
        return {account: _newer(beat, states.get(account)) for account, beat in beats.items()}

    async def heartbeats(self, accounts: Sequence[str]) -> dict[str, Heartbeat]:
        """Give the heartbeats that there are, read in pages; what Redis does not give is left out."""
        found: dict[str, Heartbeat] = {}
        with suppress(RedisAway):
            await self._hashes({account: self._keys(account).heartbeat for account in accounts}, Heartbeat, found)
        return found

    async def days(self, accounts: Sequence[str]) -> dict[str, Day]:
        """Give the last days in figures that there are, read in pages; what Redis does not give is left out."""
        found: dict[str, Day] = {}
        with suppress(RedisAway):
            for start in range(0, len(accounts), PAGE):
                page = accounts[start : start + PAGE]
                replies = await self._wires.calls([["GET", self._keys(account).day] for account in page])
                for account, text in zip(page, replies, strict=True):
                    with suppress(ValueError, TypeError):  # none, or nothing that can be read
                        found[account] = Day.from_text(text)
        return found

    async def live_code(self, account: str) -> LiveCode | None:
        """Give the code that can be used now, its end by our clock; None when there is none. Raises RedisAway."""
        return (await self.live_codes([account])).get(account)

    async def live_codes(self, accounts: Sequence[str]) -> dict[str, LiveCode]:
        """Give the codes that can be used now, read in pages; accounts without one are left out. Raises RedisAway."""
        found: dict[str, LiveCode] = {}
        for start in range(0, len(accounts), PAGE):
            page = accounts[start : start + PAGE]
            keys = [self._keys(account).code for account in page]
            replies = await self._wires.calls([[verb, key] for key in keys for verb in ("GET", "PTTL")])
            for account, text, left in zip(page, replies[::2], replies[1::2], strict=True):
                with suppress(ValueError, TypeError):  # none, or nothing that can be read
                    if left > 0:
                        found[account] = replace(LiveCode.from_json(text), expires=self._clock() + left / 1000)
        return found

    async def states(self, after: str, seconds: float) -> list[tuple[str, StateChange]]:
        """Read which accounts changed after a cursor ('0' = from the start), waiting up to `seconds`.

        The stream only tells that an account has changed: its state is the newest, read where nobody else can write
        it, once for each account; accounts that have none are left out. All come with the cursor to go on from.
        Raises RedisAway.
        """
        until = time.monotonic() + min(seconds, LONGEST)
        while True:
            left = max(0.001, until - time.monotonic())
            hints = await self._hints(after, left)
            found = await self._newest(dict.fromkeys(fields.get("account", "") for _, fields in hints))
            if found or not hints or time.monotonic() >= until:
                break
            after = hints[-1][0]
        return [(hints[-1][0], replace(change, account=account)) for account, change in found.items()]

    async def _hints(self, after: str, wait: float) -> list[tuple[str, dict[str, str]]]:
        block, stream = max(1, int(wait * 1000)), self._keys("").states
        words = ("XREAD", "COUNT", STATES_PAGE, "BLOCK", block, "STREAMS", stream, after)
        return entries(await self._wires.call(*words, seconds=wait + CALL))

    async def _newest(self, accounts: Iterable[str]) -> dict[str, StateChange]:
        keys: dict[str, str] = {}
        for account in accounts:
            with suppress(ValueError):  # any shard may have written any name there
                keys[account] = self._keys(account).state
        found: dict[str, StateChange] = {}
        await self._hashes(keys, StateChange, found)
        return found

    async def _hashes(self, keys: dict[str, str], kind: type[F], found: dict[str, F]) -> None:
        """Read hashes by name of account, in pages, into `found`; those that cannot be read are left out."""
        names = list(keys)
        for start in range(0, len(names), PAGE):
            page = names[start : start + PAGE]
            replies = await self._wires.calls([["HGETALL", keys[name]] for name in page])
            for name, reply in zip(page, replies, strict=True):
                if reply and not isinstance(reply, RedisRefused):
                    with suppress(ValueError):
                        found[name] = kind.from_redis(pairs(reply))

    async def record(self, happened: Sequence[tuple[str, Happening]]) -> None:
        """Add to what happened to accounts, oldest first, in pages. Raises RedisAway; then some may have been added."""
        for start in range(0, len(happened), PAGE):
            commands: list[list[str | float]] = []
            for account, each in happened[start : start + PAGE]:
                key = self._keys(account).history
                said = [part for pair in each.to_redis().items() if pair[1] not in {"", "0"} for part in pair]
                commands += [["XADD", key, "MAXLEN", HISTORY_MAX, "*", *said], ["EXPIRE", key, HISTORY_TTL]]
            await self._wires.calls(commands)

    async def history(self, account: str) -> list[Happening]:
        """Give what happened to an account, newest first; [] when nothing did, or Redis is away."""
        found: list[Happening] = []
        with suppress(RedisAway, RedisRefused):
            for _, said in await self._wires.call("XREVRANGE", self._keys(account).history, "+", "-"):
                with suppress(ValueError):
                    found.append(Happening.from_redis(pairs(said)))
        return list(dict.fromkeys(found))  # an answer that was lost has one told twice

    async def delete_account(self, account: str) -> None:
        """Delete every key of an account, and its history; raises RedisAway."""
        await self._wires.call("UNLINK", self._keys(account).history)
        cursor = "0"
        while True:
            cursor, names = await self._wires.call(
                "SCAN", cursor, "MATCH", self._keys(account).prefix + "*", "COUNT", SCAN
            )
            if names:
                await self._wires.call("UNLINK", *names)
            if cursor == "0":
                return

    # ---- the portal --------------------------------------------------------------------------------------------

    async def tell_pages(self, replica: str, pages: int) -> None:
        """Say how many pages are open at a replica of the portal; raises RedisAway."""
        now, _ = await self._wires.call("TIME")
        key = self._keys("").pages
        await self._wires.calls([["HSET", key, replica, f"{pages} {now}"], ["EXPIRE", key, PAGES_KEPT]])

    async def open_pages(self) -> dict[str, int]:
        """Give the open pages by replica of the portal, and forget replicas that are gone; raises RedisAway."""
        key = self._keys("").pages
        (now, _), flat = await self._wires.calls([["TIME"], ["HGETALL", key]])
        found, gone = dict[str, int](), list[str]()
        for replica, said in pairs(flat).items():
            pages, _, at = said.partition(" ")
            if pages.isdigit() and at.isdigit() and int(now) - int(at) <= PAGES_TTL:
                found[replica] = int(pages)
            else:
                gone.append(replica)
        if gone:
            await self._wires.call("HDEL", key, *gone)
        return found

    # ---- users -------------------------------------------------------------------------------------------------

    async def supports_acl(self) -> bool:
        """Tell whether this Redis lets us make confined users; raises RedisAway."""
        try:
            await acl(self._wires, "DRYRUN", "default", "PING")  # came with selectors, in Redis 7.0
        except NoAcl:
            return False
        return True

    async def make_user(self, account: str, password: str) -> str:
        """Make (or renew) the user of an account and give its name; raises NoAcl, RedisAway."""
        name = user_name(self._gateway, account)
        await acl(self._wires, "SETUSER", name, *rules(self._keys(account), password))
        return name

    async def delete_user(self, account: str) -> None:
        """Take an account's user away, and end its connections; raises NoAcl, RedisAway."""
        await acl(self._wires, "DELUSER", user_name(self._gateway, account))

    async def has_user(self, account: str) -> bool:
        """Tell whether the user is there: a Redis that was restarted may have lost it. Raises NoAcl, RedisAway."""
        return await acl(self._wires, "GETUSER", user_name(self._gateway, account)) is not None

    async def make_door_user(self, door: Door, password: str) -> None:
        """Make (or renew) the user of a door; raises NoAcl, RedisAway."""
        name = door_user_name(self._gateway, door)
        await acl(self._wires, "SETUSER", name, *door_rules(self._gateway, door, password))

    async def delete_door_user(self, door: Door) -> None:
        """Take a door's user away, and end its connections; raises NoAcl, RedisAway."""
        await acl(self._wires, "DELUSER", door_user_name(self._gateway, door))

    async def has_door_user(self, door: Door) -> bool:
        """Tell whether a door's user is there; raises NoAcl, RedisAway."""
        return await acl(self._wires, "GETUSER", door_user_name(self._gateway, door)) is not None

    async def save_users(self) -> bool:
        """Have Redis keep all users over a restart; False when it has no file for them (aclfile). Raises RedisAway."""
        try:
            await acl(self._wires, "SAVE")
        except NoAcl:
            return False
        return True


def _newer(beat: Heartbeat, state: StateChange | None) -> Heartbeat:
    """Give a heartbeat with the state that the same process told since."""
    if state is None or (state.epoch, state.instance) != (beat.epoch, beat.instance):
        return beat
    return replace(beat, reason=state.reason, since=state.since, xmpp=state.xmpp, paired=state.paired)
