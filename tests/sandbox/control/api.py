"""The control API: HTTP with JSON on a loopback port of its own, as tables of routes.

Made by `service`, spoken by `tests.sandbox.client`. A caller's mistake is answered with 400 or 404 and
{"error": sentence}; anything else that goes wrong is ours, logged, and answered with 500.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from aiohttp import web

from tests.sandbox.contract import PairingRefused
from tests.sandbox.control import owner, weather
from tests.sandbox.control.fields import Fields
from tests.sandbox.control.house import House
from tests.sandbox.control.people import Unknown
from tests.sandbox.phones.phone import Phone
from tests.sandbox.signal.errors import SignalError

MAX_BODY = 1 << 24  # bytes of a request; a picture's thumbnail fits many times

Answer = Awaitable[object]

log = logging.getLogger(__name__)


class Route(NamedTuple):
    """A way to call `handler`: with the request's fields, of which these may be there."""

    method: str
    path: str
    handler: Callable[[House, Fields], Answer]
    fields: str = ""


class PhoneRoute(NamedTuple):
    """The same below /accounts/{who}, where `who` is a number, an address or a name."""

    method: str
    path: str
    handler: Callable[[House, Phone, Fields], Answer]
    fields: str = ""


ROUTES = [
    Route("GET", "/accounts", weather.accounts),
    Route("POST", "/accounts", weather.create, "name number contacts app_state echo receipts"),
    Route("POST", "/contacts", weather.contact, "name"),
    Route("GET", "/faults", weather.faults),
    Route("POST", "/faults", weather.fault, "name scope count value match"),
    Route("DELETE", "/faults", weather.clear),
    Route("POST", "/stanzas", weather.stanza, "to stanza"),
    Route("GET", "/trace", weather.trace, "since who events limit wait"),
    Route("GET", "/stats", weather.stats),
]

PHONE_ROUTES = [
    PhoneRoute("GET", "", owner.show),
    PhoneRoute("PATCH", "", owner.settings, "name echo receipts"),
    PhoneRoute("POST", "/contacts", owner.contacts, "contacts"),
    PhoneRoute("POST", "/scan", owner.scan, "qr wait"),
    PhoneRoute("POST", "/code", owner.type_code, "code"),
    PhoneRoute("POST", "/passkey", owner.passkey, "credential public timeout refuse silent misshows"),
    PhoneRoute("GET", "/devices", owner.devices),
    PhoneRoute("DELETE", "/devices", owner.unlink, "device"),
    PhoneRoute("POST", "/messages", owner.send, "to text message id"),
    PhoneRoute("POST", "/burst", owner.burst, "to count rate prefix"),
    PhoneRoute("POST", "/typing", owner.typing, "to state"),
    PhoneRoute("POST", "/receipts", owner.receipts, "to ids type"),
    PhoneRoute("POST", "/presence", owner.presence, "type"),
    PhoneRoute("POST", "/subscriptions", owner.subscribe, "to"),
    PhoneRoute("POST", "/power", owner.power, "on"),
    PhoneRoute("POST", "/state", owner.app_state, "collection index value version removed"),
    PhoneRoute("GET", "/inbox", owner.inbox, "since wait kinds limit count details"),
]


def application(house: House) -> web.Application:
    """The API of one sandbox."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_sentences])
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _plain(house, route))
    for each in PHONE_ROUTES:
        app.router.add_route(each.method, f"/accounts/{{who}}{each.path}", _of_phone(house, each))
    return app


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into a status and a sentence."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, f"{request.method} {request.path}: {error.reason}")
    except Unknown as error:
        return _error(404, str(error))
    except (ValueError, PairingRefused, SignalError) as error:
        return _error(400, str(error))
    except Exception as error:
        log.exception("control_failed", extra={"route": request.path})
        return _error(500, f"{type(error).__name__}: {error}")


def _plain(house: House, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return _answer(await route.handler(house, await _fields(request, route.fields)))

    return handle


def _of_phone(house: House, route: PhoneRoute) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        phone = house.people.find(request.match_info["who"])
        return _answer(await route.handler(house, phone, await _fields(request, route.fields)))

    return handle


async def _fields(request: web.Request, known: str) -> Fields:
    """The body's fields, or where there is none the query's."""
    body = await request.read()
    given: object = json.loads(body) if body else dict(request.query)
    return Fields(given, known.split())


def _answer(result: object) -> web.Response:
    return web.json_response({} if result is None else result)


def _error(status: int, sentence: str) -> web.Response:
    body: Mapping[str, str] = {"error": sentence}
    return web.json_response(body, status=status)
