"""Logging in at a login server of the host: the browser goes there and comes back with a code, once.

What was begun is bound to the browser's cookie: another browser, a second use and an answer that nobody asked for find
nothing. The browser gets a new cookie at the end, as with every login.
"""

from typing import Final

from starlette.responses import RedirectResponse, Response

from ponton_bridge.model.errors import PontonError
from ponton_operator.selfservice import words
from ponton_operator.selfservice.claims import NoAddress, identify
from ponton_operator.selfservice.web import login
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.gate import NotThere, Refused, TooOften, Visit
from ponton_operator.selfservice.web.keep import LOGIN, fresh
from ponton_operator.selfservice.web.settings import Begun, Server

ADDRESS_LOGINS: Final = 60  # that are begun from one address in LOGIN seconds; a school has one address
_MAX_CODE: Final = 4096  # characters; some servers put all they know into it
_MAX_STATE: Final = 100  # ours have 43


async def start(visit: Visit) -> Response:
    """Send the browser to the login server."""
    server = _server(visit)
    if visit.owner:
        return visit.go("/account")
    portal = visit.portal
    if not await portal.keep.allows("servers", visit.address, ADDRESS_LOGINS, LOGIN):
        portal.log(PortalEvent.LIMITED, "warning", kind="servers")
        raise TooOften(words.TOO_MANY_LOGINS)
    begun = Begun(fresh(), fresh(), fresh())
    try:
        address = await server.address(begun)
    except PontonError as problem:
        return _failed(visit, problem)
    await portal.keep.begin_elsewhere(visit.cookie, begun.state, [begun.nonce, begun.verifier])
    portal.log(PortalEvent.OIDC_BEGUN)
    return RedirectResponse(address, 303)


async def back(visit: Visit) -> Response:
    """Take the code that the browser brings back, and log it in."""
    server, portal = _server(visit), visit.portal
    asked = visit.request.query_params
    state = asked.get("state", "")[:_MAX_STATE]
    try:
        kept = await portal.keep.finish_elsewhere(visit.cookie, state)
        if kept is None:
            raise Refused(words.LOGIN_OLD)  # said with the others
        code = asked.get("code", "")
        if "error" in asked or not 0 < len(code) <= _MAX_CODE or not await server.is_named(asked.get("iss", "")):
            raise Refused(words.PROVIDER_REFUSED)
        identity = identify(await server.claims(code, Begun(state, *kept)), server.settings)
        await portal.service.check_known(identity.owner)
    except PontonError as problem:
        return _failed(visit, problem)
    return await login.enter(visit, identity.owner, "oidc", host=identity.host)


def _server(visit: Visit) -> Server:
    if visit.portal.server is None:
        raise NotThere(words.NO_PAGE)
    return visit.portal.server


def _failed(visit: Visit, problem: PontonError) -> Response:
    """Show the login page with what went wrong; the log gets a word of ours."""
    why = getattr(problem, "why", "") or ("claims" if isinstance(problem, NoAddress) else type(problem).__name__)
    visit.portal.log(PortalEvent.OIDC_FAILED, "warning", why=str(why))
    return login.shown(visit, problem)
