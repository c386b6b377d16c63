"""Fetching what a server of the host's says by HTTPS: the one way in which the control plane opens a URL that is data.

A URL may have come from a server's answer, so each is looked at anew: https (http only where the host has named a
loopback address), no user in it, and every address that its name has is public unless the host said otherwise. The
connection goes to the addresses that were looked at. No redirect is followed, no proxy or cookie is used, answers are
bounded in size and time. Called by the pages' login.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from ponton_bridge.model.errors import HostError
from ponton_bridge.xmpp.upload import UploadFailed, trust

SECONDS: Final = 5.0  # for one fetch, name lookup and TLS included
LARGEST: Final = 256 * 1024  # bytes of an answer; sets of keys and metadata have some 10 KiB
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})  # where http is possible, as in the settings' rules


class Why(StrEnum):
    """Why something could not be fetched, for the log."""

    URL = "url"  # it is none that may be fetched
    ADDRESS = "address"  # its server is at an address that is not public, and the host has not allowed that
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"  # its certificate is not of an authority that is trusted, or of another name
    SLOW = "slow"
    LARGE = "large"


class FetchFailed(HostError):
    """It was not fetched; `why` is for the log, the sentence is the caller's."""

    def __init__(self, why: Why) -> None:
        super().__init__()
        self.why = why


class _NotPublic(OSError):
    """An address that may not be asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: the status of HTTP and the body."""

    status: int
    body: bytes


class Fetcher:
    """Fetches for one purpose: `ca` a PEM file (None: the system's), `private` whether any address may be asked.

    `plain`: http is possible, at loopback. Raises HostError when the authorities cannot be read.
    """

    def __init__(self, ca: Path | None, *, private: bool = False, plain: bool = False) -> None:
        try:
            self._context = trust(ca)
        except UploadFailed:
            raise HostError("The CA certificates for the login server cannot be read.") from None
        self._private = private
        self._plain = plain

    def check(self, url: str) -> None:
        """Raise FetchFailed when a URL is none that may be opened; what its name resolves to is looked at later."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise FetchFailed(Why.URL) from None
        plain = self._plain and parts.scheme == "http" and host in _LOOPBACK
        if not (parts.scheme == "https" or plain) or not host or "@" in parts.netloc:
            raise FetchFailed(Why.URL)
        if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
            raise FetchFailed(Why.URL)
        if not self._private and _is_private(host):
            raise FetchFailed(Why.ADDRESS)

    async def fetch(self, url: str, headers: Mapping[str, str], body: str | None = None) -> Answer:
        """GET, or POST when there is a body. Raises FetchFailed."""
        self.check(url)
        method = "GET" if body is None else "POST"
        connector = aiohttp.TCPConnector(resolver=_Resolver(private=self._private), ssl=self._context, force_close=True)
        try:
            async with (
                asyncio.timeout(SECONDS),
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
                ) as session,
                session.request(
                    method, url, headers={"Accept-Encoding": "identity", **headers}, data=body, allow_redirects=False
                ) as answer,
            ):
                return Answer(answer.status, await _bounded(answer))
        except TimeoutError:
            raise FetchFailed(Why.SLOW) from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError):
            raise FetchFailed(Why.UNTRUSTED) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(Why.ADDRESS if _was_refused(error) else Why.UNREACHABLE) from None


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in answer.content.iter_chunked(16384):
        body += chunk
        if len(body) > LARGEST:
            raise FetchFailed(Why.LARGE)
    return body


def _was_refused(error: BaseException) -> bool:
    """Tell whether it was our own resolver that said no; the library wraps its errors."""
    return isinstance(error, _NotPublic) or isinstance(getattr(error, "os_error", None), _NotPublic)


def _is_private(host: str) -> bool:
    """Tell whether it is an address that is not public; a name is none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None) or address
    return not inner.is_global or inner.is_multicast


class _Resolver(AbstractResolver):
    """Looks names up, and gives all addresses or, where one of them is not allowed, none."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver."""
        found = await self._system.resolve(host, port, family)
        if not self._private and any(_is_private(each["host"]) for each in found):
            raise _NotPublic
        return found

    async def close(self) -> None:
        """See AbstractResolver."""
        await self._system.close()
