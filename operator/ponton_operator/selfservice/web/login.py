"""Logging in by a one-time code that the front desk says to the owner over XMPP, and logging out.

`web.oidc` is the other way in; both end with `enter`.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse, Response

from ponton_bridge.coordination.contract import FRONT_DESK, LoginAsked, LoginMessage, Verb
from ponton_bridge.model.errors import HostError, OwnerError, PontonError
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.selfservice import languages, words
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.gate import LANGUAGE_COOKIE, YEAR, NotThere, Visit, set_cookie, status_of
from ponton_operator.selfservice.web.keep import LOGIN, TooManyTries

DESK_SECONDS: Final = 5.0  # how long a page waits for the front desk
ANSWER_SECONDS: Final = 2.0  # the same, for a page that asks again anyway
YES: Final = "yes"  # what the front desk gives for an owner who has agreed
ADDRESS_LOGINS: Final = 30  # codes asked for from one address in LOGIN seconds
_MAX_TYPED: Final = 40  # characters of a code as somebody types it


async def index(visit: Visit) -> Response:
    """Send everybody where they belong."""
    return visit.go("/account" if visit.owner else "/login")


async def form(visit: Visit) -> Response:
    """Ask for the address."""
    return visit.go("/account") if visit.owner else shown(visit)


def shown(visit: Visit, problem: PontonError | None = None, **values: object) -> Response:
    """Show the login page, with what went wrong."""
    site = visit.portal.site
    status = 200 if problem is None else 429 if isinstance(problem, TooManyTries) else status_of(problem)
    usual = {"jid": "", "xmpp": site.xmpp_login, "server": site.server, "here": "/login"}
    return visit.page("login.html", status, **usual | ({"problem": visit.told(problem)} if problem else {}) | values)


async def begin(visit: Visit) -> Response:
    """Have a code sent; the answer is the same for every address."""
    _by_xmpp(visit)
    typed = visit.form.get("jid", "")
    try:
        await _send(visit, prepare_bare(typed))
    except (OwnerError, HostError) as problem:
        return shown(visit, problem, jid=typed)
    visit.portal.log(PortalEvent.LOGIN_BEGUN)
    return visit.go("/login/code")


def _by_xmpp(visit: Visit) -> None:
    if not visit.portal.site.xmpp_login:
        raise NotThere(words.NO_PAGE)


async def _send(visit: Visit, owner: str) -> None:
    portal = visit.portal
    if not await portal.keep.allows("logins", visit.address, ADDRESS_LOGINS, LOGIN):
        portal.log(PortalEvent.LIMITED, "warning", kind="logins")
        raise TooManyTries(words.TOO_MANY_CODES)
    code, transaction = await portal.keep.begin(visit.cookie, owner)
    asked = LoginMessage(owner, code, visit.language, transaction, portal.site.url + "/login/code")
    result = await portal.door.command(FRONT_DESK, Verb.LOGIN, asked.to_json(), DESK_SECONDS, DESK_SECONDS)
    if result is None:
        raise HostError(words.DESK_AWAY)
    if not result.ok:
        raise HostError(result.sentence or words.DESK_AWAY)


async def code_form(visit: Visit) -> Response:
    """Ask for the code, or go on when the owner has answered in their client."""
    _by_xmpp(visit)
    begun = await visit.portal.keep.begun(visit.cookie)
    if visit.owner or begun is None:
        return visit.go("/login")
    owner, transaction = begun
    answer = await _answer(visit, owner, transaction)
    # What is taken away here is gone for every other request: one answer is good for one login.
    if not answer or not await visit.portal.keep.drop(visit.cookie):
        return visit.page("code.html", transaction=transaction, waits="wait" in visit.request.query_params)
    if answer == YES:
        return await enter(visit, owner, "confirmed")
    visit.portal.log(PortalEvent.LOGIN_REFUSED, "warning")
    return shown(visit, OwnerError(words.SAID_NO))


async def answered(visit: Visit) -> Response:
    """Tell a page that stays open whether it has something else to show."""
    _by_xmpp(visit)
    begun = await visit.portal.keep.begun(visit.cookie)
    waits = begun is not None and not visit.owner and not await _answer(visit, *begun)
    return Response(status_code=204) if waits else PlainTextResponse("again")


async def _answer(visit: Visit, owner: str, transaction: str) -> str:
    """Give what the owner has answered; without a front desk nothing yet, and the code is the way in."""
    asked = LoginAsked(owner, transaction).to_json()
    try:
        result = await visit.portal.door.command(FRONT_DESK, Verb.CONFIRMED, asked, ANSWER_SECONDS, ANSWER_SECONDS)
    except HostError:
        return ""
    return result.value if result is not None and result.ok else ""


async def finish(visit: Visit) -> Response:
    """Take the code."""
    _by_xmpp(visit)
    portal = visit.portal
    try:
        owner = await portal.keep.finish(visit.cookie, visit.form.get("code", "")[:_MAX_TYPED])
    except TooManyTries as problem:
        portal.log(PortalEvent.LIMITED, "warning", kind="tries")
        return await _again(visit, 429, visit.told(problem))
    if not owner:
        portal.log(PortalEvent.LOGIN_REFUSED, "warning")
        return await _again(visit, 400, visit.say(words.WRONG_CODE))
    return await enter(visit, owner, "code")


async def _again(visit: Visit, status: int, problem: str) -> Response:
    begun = await visit.portal.keep.begun(visit.cookie)
    return visit.page("code.html", status, problem=problem, transaction=begun[1] if begun else "", waits=False)


async def enter(visit: Visit, owner: str, way: str, *, host: bool = False) -> Response:
    """Begin a session: the browser gets a new cookie, the old one is worth nothing from now on."""
    portal = visit.portal
    if visit.owner:
        await portal.keep.end(visit.cookie, visit.owner)
    visit.owner, visit.host = owner, host
    response = visit.go("/account")
    set_cookie(visit, response, await portal.keep.open(owner, host=host))
    portal.log(PortalEvent.LOGGED_IN, account=visit.account, way=way)
    return response


async def leave(visit: Visit) -> Response:
    """Log out here, or everywhere."""
    everywhere = visit.form.get("everywhere") == "yes"
    if everywhere:
        await visit.portal.keep.end_all(visit.owner)
    else:
        await visit.portal.keep.end(visit.cookie, visit.owner)
    visit.portal.log(PortalEvent.LOGGED_OUT, account=visit.account, everywhere=everywhere)
    visit.owner, visit.host = "", False
    sentence = words.LOGGED_OUT_EVERYWHERE if everywhere else words.LOGGED_OUT
    return shown(visit, notice=visit.say(sentence))


async def language(visit: Visit) -> Response:
    """Take the language that somebody chose, and show the page again on which they were."""
    chosen, back = visit.form.get("language", ""), visit.form.get("back", "")
    site = visit.portal.site
    inside = back.removeprefix(site.prefix)
    parts = urlsplit(inside)
    ours = not parts.netloc and not parts.scheme and inside.startswith("/") and not inside.startswith(("//", "/\\"))
    response = visit.go(inside if ours else "/")
    if chosen in languages.NAMES:
        response.set_cookie(
            LANGUAGE_COOKIE, chosen, max_age=YEAR, path="/", secure=site.secure, httponly=True, samesite="lax"
        )
    return response
