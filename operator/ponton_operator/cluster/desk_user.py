"""The front desk's own user at the gateway's Redis: made, and made again when Redis has lost it.

The front desk never holds the operator's URL: its user may leave commands for shards and read how they are, no more.
A look tells how Redis is, which is what the gateway's conditions are made of.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.client.door import DoorClient, NoAcl, RedisAway, desk_user_name
from ponton_bridge.coordination.client.wire import RedisRefused
from ponton_bridge.model.errors import HostError
from ponton_operator.plan.gateway_status import Part
from ponton_operator.plan.secrets import desk_password, login_url

FORGETS: Final = 3600.0  # seconds that a Redis counts as one that forgets, after it did


def desk_url(url: str, gateway: str, master: str) -> str:
    """Give the URL with which the front desk comes to Redis."""
    return login_url(url, desk_user_name(gateway), desk_password(master, gateway))


@dataclass(frozen=True, slots=True)
class RedisSeen:
    """How a look found Redis; `forgets`: it has lost the user lately although we had made it."""

    part: Part
    forgets: bool = False


class DeskUser:
    """The user of one gateway's front desk. Raises HostError when `url` is none."""

    def __init__(self, url: str, gateway: str, master: str) -> None:
        self._password = desk_password(master, gateway)
        try:
            self._door = DoorClient(url, gateway)
        except ValueError:
            raise HostError("This is no URL of Redis: redis://user:password@host:6379/0 is one.") from None
        self._made = False
        self._forgot: float | None = None

    async def look(self, now: float) -> RedisSeen:
        """Make the user if it is not there, and tell how Redis is; `now` in seconds, of any clock. Never raises."""
        try:
            if not await self._door.supports_acl():
                return RedisSeen(Part.REFUSES)
            if not (self._made and await self._door.has_desk_user()):
                self._forgot = now if self._made else self._forgot
                await self._door.make_desk_user(self._password)
                await self._door.save_users()
                self._made = True
        except NoAcl:
            return RedisSeen(Part.REFUSES)
        except (RedisAway, RedisRefused):
            return RedisSeen(Part.AWAY, forgets=self._forgets(now))
        return RedisSeen(Part.ANSWERS, forgets=self._forgets(now))

    async def close(self) -> None:
        """Close the connections."""
        with suppress(OSError, TimeoutError):
            await self._door.close()

    def _forgets(self, now: float) -> bool:
        return self._forgot is not None and now - self._forgot < FORGETS
