"""The portal as an ASGI application: the table of all pages, and what every answer has. Called by `programs.portal`."""

from functools import partial
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponton_operator.selfservice import languages, words
from ponton_operator.selfservice.web import host, login, oidc, owner, passkey
from ponton_operator.selfservice.web.gate import Page, Visit, pass_gate
from ponton_operator.selfservice.web.keep import fresh
from ponton_operator.selfservice.web.settings import Portal, Site

STATIC: Final = Path(__file__).parent / "static"

PAGES: Final = (
    Page("/", login.index),
    Page("/login", login.form),
    Page("/login", login.begin, "POST"),
    Page("/login/code", login.code_form),
    Page("/login/code", login.finish, "POST"),
    Page("/login/answer", login.answered, part=True),
    Page("/login/oidc", oidc.start),
    Page("/login/oidc/back", oidc.back),
    Page("/logout", login.leave, "POST", owner=True),
    Page("/language", login.language, "POST"),
    Page("/account", owner.account, owner=True),
    Page("/account/part", owner.part, owner=True, part=True),
    Page("/account/events", owner.events, owner=True, part=True),
    Page("/account/code.svg", owner.picture, owner=True, part=True),
    Page("/account/export.json", owner.export, owner=True),
    Page("/account/export.zip", owner.export, owner=True),
    Page("/account/passkey", passkey.how, owner=True),
    Page("/account/passkey", passkey.paste, "POST", owner=True),
    Page("/account/passkey/answer", passkey.arrive, owner=True),
    Page("/account/passkey/answer", passkey.bring, "POST", owner=True),
    Page("/account/passkey/compare", passkey.compare, "POST", owner=True),
    Page("/account/{verb}", owner.ask_first, owner=True),
    Page("/account/{verb}", owner.act, "POST", owner=True),
    Page("/host", host.accounts, owner=True, host=True),
    Page("/host/find", host.find, "POST", owner=True, host=True),
    Page("/host/account/{name}", host.account, owner=True, host=True),
    Page("/host/account/{name}/delete", host.sure, owner=True, host=True),
    Page("/host/account/{name}/{deed}", host.act, "POST", owner=True, host=True),
)

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all browsers hide the origin of our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HSTS: Final = "max-age=63072000"  # two years; neighbours of our host name are not ours to speak for
KEPT: Final = "public, max-age=3600"  # style and script, which say nothing about anybody


class Outermost:
    """Takes the prefix off, and puts on every answer, errors too, what protects who reads it."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._prefix = site.prefix
        headers = HEADERS | ({"Strict-Transport-Security": HSTS} if site.secure else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI 3."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._prefix and scope["path"].startswith(f"{self._prefix}/"):  # some proxies take it off, some do not
            scope = dict(scope) | {"path": scope["path"].removeprefix(self._prefix), "root_path": ""}
        kept = scope["path"].startswith("/static/")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                cached = KEPT if kept and message["status"] == 200 else "no-store"  # noqa: PLR2004
                headers = [(name, value) for name, value in message["headers"] if name != b"cache-control"]
                message["headers"] = [*headers, *self._headers, (b"cache-control", cached.encode())]
            await send(message)

        await self._app(scope, receive, guarded)


def make(portal: Portal) -> ASGIApp:
    """Make the application."""

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        visit = Visit(portal, request, fresh(), languages.choose("", request.headers.get("accept-language", "")))
        return visit.page("error.html", status, problem=visit.say(words.NO_PAGE))

    pages = [Route(page.path, partial(pass_gate, portal, page), methods=[page.method]) for page in PAGES]
    app = Starlette(
        routes=[Route("/healthz", healthy), *pages, Mount("/static", StaticFiles(directory=STATIC))],
        exception_handlers={404: refused, 405: refused},
    )
    return Outermost(app, portal.site)
