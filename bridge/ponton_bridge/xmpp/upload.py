"""Upload of a small file to the XMPP server's upload service (XEP-0363): a slot by iq, then a PUT.

The PUT runs in a thread with the standard library's client. Whom it trusts is decided here and nowhere else: one CA
file, or the system's bundle by its path; no proxy, no variable of the environment is obeyed. Called by the shard when
it shows a code.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from ponton_bridge.model.errors import HostError
from ponton_bridge.model.xml import CLIENT, UPLOAD, el, find

SECONDS: Final = 10.0  # for slot and PUT together: a code lives 20 s
STALL: Final = 5.0  # seconds without progress of the PUT; bounds the thread, which cannot be cancelled
LARGEST: Final = 1024 * 1024  # bytes; a picture of a code has about 1,000
ANSWER: Final = 4096  # bytes read of the server's answer
BUNDLES: Final = (  # where systems keep their CA certificates: Debian, Red Hat, Alpine
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
HEADERS: Final = ("authorization", "cookie", "expires")  # XEP-0363, section 5: no other header of a slot counts

Request = Callable[[Element], Awaitable[Element]]


class UploadFailed(HostError):
    """The file could not be put where others can fetch it; the text says what the host can look at."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where to put a file and where it can then be fetched."""

    put: str
    get: str
    headers: tuple[tuple[str, str], ...] = ()


def slot_request(service: str, sender: str, name: str, content_type: str, size: int) -> Element:
    """Ask for a slot for a file of `size` bytes."""
    wanted = {"filename": name, "size": str(size), "content-type": content_type}
    return el("iq", CLIENT, el("request", UPLOAD, **wanted), type_="get", to=service, from_=sender)


def read_slot(answer: Element) -> Slot:
    """Read the answer; UploadFailed when a URL is missing or not https (XEP-0363, section 4)."""
    slot = find(answer, "slot", UPLOAD)
    put = None if slot is None else find(slot, "put", UPLOAD)
    get = None if slot is None else find(slot, "get", UPLOAD)
    urls = [("" if part is None else part.get("url", "")) for part in (put, get)]
    if put is None or not all(_is_https(url) for url in urls):
        raise UploadFailed("The upload service gave no https address for the picture.")
    headers = tuple(
        (header.get("name", ""), (header.text or "").replace("\r", "").replace("\n", ""))
        for header in put
        if header.get("name", "").lower() in HEADERS
    )
    return Slot(urls[0], urls[1], headers)


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def trust(ca: Path | None) -> ssl.SSLContext:
    """Give a context that trusts that file alone, or else the system's bundle; never what the environment names."""
    file = ca or next((Path(name) for name in BUNDLES if Path(name).is_file()), None)
    if file is None:
        raise UploadFailed("There are no CA certificates on this system to check the upload service by.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name; loads nothing by itself
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=str(file))
    except (OSError, ssl.SSLError):
        raise UploadFailed("The CA certificates for the upload service cannot be read.") from None
    return context


async def upload(
    request: Request, service: str, sender: str, data: bytes, *, name: str, content_type: str, ca: Path | None
) -> str:
    """Put `data` on the upload service and give its address; UploadFailed, or what `request` raises."""
    if len(data) > LARGEST:
        raise UploadFailed("The picture is too large to be uploaded.")
    try:
        async with asyncio.timeout(SECONDS):
            slot = read_slot(await request(slot_request(service, sender, name, content_type, len(data))))
            await asyncio.to_thread(_put, slot, data, content_type, ca)
    except TimeoutError:
        raise UploadFailed("The upload service did not answer in time.") from None
    return slot.get


def _put(slot: Slot, data: bytes, content_type: str, ca: Path | None) -> None:
    from http.client import HTTPException, HTTPSConnection  # noqa: PLC0415 - 1 MiB that only an upload needs

    parts = urlsplit(slot.put)
    assert parts.hostname  # noqa: S101 - narrows the type: `read_slot` has checked it
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = HTTPSConnection(parts.hostname, parts.port or 443, timeout=STALL, context=trust(ca))
    try:
        connection.request("PUT", path, body=data, headers=dict(slot.headers) | {"Content-Type": content_type})
        answer = connection.getresponse()
        answer.read(ANSWER)
    except ssl.SSLError:
        raise UploadFailed("The certificate of the upload service is not trusted.") from None
    except (OSError, HTTPException, ValueError):
        raise UploadFailed("The upload service cannot be reached.") from None
    finally:
        connection.close()
    if answer.status not in {200, 201, 204}:
        raise UploadFailed("The upload service refused the picture.")
