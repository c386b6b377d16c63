"""The doors' own users at the gateway's Redis: made, and made again when Redis has lost them.

A door never holds the operator's URL: its user may leave commands for shards, read how they are, and what is the
door's own, no more. A look tells how Redis is, which is what the gateway's conditions are made of.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.client.door import DoorClient, NoAcl, RedisAway, door_user_name
from ponton_bridge.coordination.client.wire import RedisRefused
from ponton_bridge.coordination.contract import Door
from ponton_bridge.model.errors import HostError
from ponton_operator.plan.gateway_status import Part
from ponton_operator.plan.secrets import door_password, login_url

FORGETS: Final = 3600.0  # seconds that a Redis counts as one that forgets, after it did


def door_url(url: str, gateway: str, master: str, door: Door) -> str:
    """Give the URL with which a door comes to Redis."""
    return login_url(url, door_user_name(gateway, door), door_password(master, gateway, door))


@dataclass(frozen=True, slots=True)
class RedisSeen:
    """How a look found Redis; `forgets`: it has lost a user lately although we had made it."""

    part: Part
    forgets: bool = False


class DoorUsers:
    """The users of one gateway's doors. Raises HostError when `url` is none."""

    def __init__(self, url: str, gateway: str, master: str) -> None:
        self._passwords = {door: door_password(master, gateway, door) for door in Door}
        try:
            self._client = DoorClient(url, gateway)
        except ValueError:
            raise HostError("This is no URL of Redis: redis://user:password@host:6379/0 is one.") from None
        self._made: set[Door] = set()
        self._forgot: float | None = None

    async def look(self, doors: Iterable[Door], now: float) -> RedisSeen:
        """Make the users of these doors if they are not there, take others away, and tell how Redis is.

        `now` is in seconds, of any clock. Never raises.
        """
        wanted = set(doors)
        try:
            if not await self._client.supports_acl():
                return RedisSeen(Part.REFUSES)
            changed = [await self._see_to(door, now, wanted=door in wanted) for door in Door]
            if any(changed):
                await self._client.save_users()
            self._made = wanted
        except NoAcl:
            return RedisSeen(Part.REFUSES)
        except (RedisAway, RedisRefused):
            return RedisSeen(Part.AWAY, forgets=self._forgets(now))
        return RedisSeen(Part.ANSWERS, forgets=self._forgets(now))

    async def close(self) -> None:
        """Close the connections."""
        with suppress(OSError, TimeoutError):
            await self._client.close()

    async def _see_to(self, door: Door, now: float, *, wanted: bool) -> bool:
        """Make a door's user, or take it away; gives whether anything was to be done."""
        made, there = door in self._made, await self._client.has_door_user(door)
        if wanted and not (made and there):
            self._forgot = now if made else self._forgot
            await self._client.make_door_user(door, self._passwords[door])
            return True
        if there and not wanted:
            await self._client.delete_door_user(door)
            return True
        return False

    def _forgets(self, now: float) -> bool:
        return self._forgot is not None and now - self._forgot < FORGETS
