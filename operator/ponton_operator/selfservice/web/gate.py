"""The one way to a page: who asks, whether the form came from us, what went wrong, and what all answers have in common.

A page is a row of `app.PAGES`. Whether it is for owners only and changes something is said there, and seen to here, so
that no handler can forget it.
"""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ponton_bridge.model.errors import Actor, OwnerError, PontonError
from ponton_operator.resources.account import account_name
from ponton_operator.selfservice import languages, words
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.keep import fresh
from ponton_operator.selfservice.web.settings import Portal

FORM_BYTES: Final = 8192
FIELDS: Final = 20
MAX_VALUE: Final = 3071  # characters of a value: the longest bare JID is shorter (RFC 6122, 2.1)
COOKIE_CHARS: Final = 100  # ours have 43
LANGUAGE_COOKIE: Final = "ponton-language"
YEAR: Final = 365 * 86400
ADDRESS_POSTS: Final = 60  # forms from one address in a minute, before a login; a school has one address
MINUTE: Final = 60
_SAME_NETWORK: Final = 64  # bits of an IPv6 address that one customer has


class Refused(OwnerError):
    """The form was not looked at; `status` is that of HTTP."""

    status = 400


class NotThere(Refused):
    """There is no such page, or not for this visitor."""

    status = 404


class Forged(Refused):
    """The form did not come from one of our pages."""

    status = 403


class TooLarge(Refused):
    """More was sent than any form of ours holds."""

    status = 413


class TooOften(Refused):
    """More was sent from one place than people send."""

    status = 429


@dataclass(slots=True)
class Visit:
    """One request: the cookie's value (a fresh one if there was none), who is logged in ('' nobody), what was sent."""

    portal: Portal
    request: Request
    cookie: str
    language: str
    owner: str = ""
    host: bool = False
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """What proves that a form is ours: only who knows the cookie can make it."""
        return hmac.digest(self.cookie.encode(), b"form", "sha256").hex()

    @property
    def is_host(self) -> bool:
        """Whether this is one of the host's people."""
        return self.host or self.owner in self.portal.site.hosts

    @property
    def account(self) -> str:
        """The opaque name of the owner's account, for the log."""
        return account_name(self.portal.limits.domain, self.owner) if self.owner else ""

    @property
    def address(self) -> str:
        """Where it comes from: an IPv4 address, or the network of an IPv6 one."""
        host = self.request.client.host if self.request.client else ""
        try:
            known = ip_address(host)
        except ValueError:
            return host
        return str(ip_network(f"{known}/{_SAME_NETWORK}", strict=False)) if known.version == 6 else host  # noqa: PLR2004

    def say(self, sentence: str) -> str:
        """Say one of our sentences in the visitor's language."""
        return languages.say(self.language, words.off_chat(sentence))

    def told(self, problem: PontonError) -> str:
        """Say what went wrong."""
        known = problem.args[0] if problem.args and isinstance(problem.args[0], str) else problem.sentence
        return self.say(known)

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """Show a page."""
        usual = {"token": self.token, "owner": self.owner, "notice": "", "problem": "", "now": time.time()}
        usual["host"] = self.is_host
        usual["here"] = self.request.url.path if self.request.method == "GET" else "/"  # where a link may lead back to
        return HTMLResponse(self.portal.pages.render(self.language, template, usual | values), status)

    def go(self, path: str) -> Response:
        """Send the browser to another page of ours, by GET."""
        return RedirectResponse(self.portal.site.path(path), 303)


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One row: `owner` = only for who is logged in; `part` = asked for by a script, not by a person.

    `host` = only for who is logged in and one of the host's people; for others it is not there.
    """

    path: str
    handler: Handler
    method: str = "GET"
    owner: bool = False
    part: bool = False
    host: bool = False


async def pass_gate(portal: Portal, page: Page, request: Request) -> Response:
    """Answer a request for a page. Never raises an error of ours."""
    began = time.monotonic()
    given = request.cookies.get(portal.site.cookie, "")
    known = given if 0 < len(given) <= COOKIE_CHARS and given.isascii() else ""
    language = languages.choose(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", ""))
    visit = Visit(portal, request, known or fresh(), language)
    try:
        response = await _answer(visit, page, known=bool(known))
    except PontonError as problem:
        response = visit.page("error.html", status_of(problem), problem=visit.told(problem))
    except Exception as error:  # noqa: BLE001  # the visitor is told, the log says where
        portal.log.failure(PortalEvent.FAILED, error)
        response = visit.page("error.html", 500, problem=visit.say(PontonError().sentence))
    if not known and not page.part:
        set_cookie(visit, response, visit.cookie)
    portal.metrics.page(page.path, response.status_code, time.monotonic() - began)
    return response


async def _answer(visit: Visit, page: Page, *, known: bool) -> Response:
    session = await visit.portal.keep.session(visit.cookie) if known else None
    visit.owner, visit.host = (session.owner, session.host) if session else ("", False)
    if page.method == "POST":
        visit.form = await _form(visit)
    if page.owner and not visit.owner:
        return Response(status_code=401) if page.part else visit.go("/login")
    if page.host and not visit.is_host:
        raise NotThere(words.NO_PAGE)
    return await page.handler(visit)


async def _form(visit: Visit) -> dict[str, str]:
    """Read a form. Raises Forged, TooLarge, HostError."""
    keep, headers = visit.portal.keep, visit.request.headers
    if not visit.owner and not await keep.allows("posts", visit.address, ADDRESS_POSTS, MINUTE):
        visit.portal.log(PortalEvent.LIMITED, "warning", kind="posts")
        raise TooOften(words.BUSY)
    body = b""
    async for chunk in visit.request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise TooLarge(words.TOO_LARGE)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError:
        raise TooLarge(words.TOO_LARGE) from None
    form = {name: value.strip()[:MAX_VALUE] for name, value in pairs}
    origin = headers.get("origin", visit.portal.site.origin)
    if (
        origin != visit.portal.site.origin
        or headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
        or not hmac.compare_digest(form.get("token", "").encode(), visit.token.encode())
    ):
        visit.portal.log(PortalEvent.FORGED, "warning", account=visit.account)
        raise Forged(words.NOT_FROM_HERE)
    return form


def status_of(problem: PontonError) -> int:
    """Give the status of HTTP: the visitor's to mend, or not."""
    return problem.status if isinstance(problem, Refused) else 400 if problem.actor is Actor.OWNER else 503


def set_cookie(visit: Visit, response: Response, value: str) -> None:
    """Give the browser the one cookie that says who it is."""
    site = visit.portal.site
    response.set_cookie(site.cookie, value, path="/", secure=site.secure, httponly=True, samesite="lax")
