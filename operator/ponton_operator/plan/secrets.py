"""Secrets that are derived, never stored: of streams (component-shards/1, section 1.3) and of Redis users.

Only the control plane and Prosody hold the master. A secret binds its domain, role, owner and epoch, so that a stolen
one speaks for one owner only and dies at the next hand-over. Called by the drivers when they start a process.
"""

import hmac
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from ponton_bridge.coordination.contract import Door

_DOORS: Final = {Door.FRONT_DESK: "ponton redis front desk", Door.PORTAL: "ponton redis portal"}


def shard_secret(master: str, domain: str, owner: str, epoch: int) -> str:
    """Give a shard's handshake secret (64 hex digits); `owner` is a prepared bare JID.

    >>> shard_secret("m", "wa.test", "alice@example.test", 7)[:8]
    'b00ad758'
    """
    return _derive(master, "urn:component-shards:1", domain, "shard", owner, str(epoch))


def front_desk_secret(master: str, domain: str, epoch: int) -> str:
    """Give the front desk's handshake secret of an epoch.

    >>> front_desk_secret("m", "wa.test", 3)[:8]
    '260e4da8'
    """
    return _derive(master, "urn:component-shards:1", domain, "gateway", "", str(epoch))


def redis_password(master: str, gateway: str, account: str, epoch: int) -> str:
    """Give the password of an account's Redis user for one epoch.

    It can be made again at any time, so users that a Redis forgot at its restart come back as they were.
    """
    return _derive(master, "ponton redis user", gateway, account, str(epoch))


def door_password(master: str, gateway: str, door: Door) -> str:
    """Give the password of a door's Redis user; it lives as long as the master."""
    return _derive(master, _DOORS[door], gateway)


def login_url(url: str, user: str, password: str) -> str:
    """Give a URL of Redis with another login; scheme, host, database and options stay.

    >>> login_url("redis://admin:word@redis.example:6379/0", "desk", "pw")
    'redis://desk:pw@redis.example:6379/0'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))


def _derive(master: str, *lines: str) -> str:
    return hmac.digest(master.encode(), "\n".join(lines).encode(), "sha256").hex()
