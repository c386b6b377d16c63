"""The pages of a passkey: how WhatsApp is answered at its own page, where the answer comes back to, codes to compare.

The snippet that the owner runs at web.whatsapp.com ends at `/account/passkey/answer#TOKEN.ANSWER`, since a fragment
reaches no server and no log. A script of ours takes it out of the address and sends it as a form. The token is good
once, for one request of one session, so that nobody else's page can bring an answer in somebody's name.
"""

from starlette.responses import Response

from ponton_bridge.model.errors import OwnerError, PontonError
from ponton_operator.selfservice import passkeys, words
from ponton_operator.selfservice.service import Ask, Request
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.gate import Visit, status_of


async def how(visit: Visit) -> Response:
    """Say how to answer the request that is open."""
    return await _how(visit)


async def _how(visit: Visit, status: int = 200, problem: str = "") -> Response:
    portal = visit.portal
    view = await portal.live.view(visit.owner)
    request = passkeys.request_of(view.code)
    if not request:
        await portal.keep.leave(visit.cookie, problem or visit.say(words.NO_PASSKEY))
        return visit.go("/account")
    once = await portal.keep.offer(visit.cookie, request)
    here = f"{portal.site.url}/account/passkey/answer#{once}."
    snippets = {"snippet": passkeys.snippet(request, here), "showing": passkeys.snippet(request)}
    return visit.page("passkey.html", status, view=view, problem=problem, **snippets)


async def arrive(visit: Visit) -> Response:
    """Receive the browser that brings an answer; a script sends it on."""
    return visit.page("passkey_answer.html")


async def bring(visit: Visit) -> Response:
    """Take the answer that a browser has brought."""
    portal, once = visit.portal, visit.form.get("once", "")
    request = passkeys.request_of((await portal.live.view(visit.owner)).code)
    if not request or not await portal.keep.redeem(visit.cookie, request, once):
        portal.log(PortalEvent.FORGED, "warning", account=visit.account)
        return await _how(visit, 400, visit.say(words.NOT_THAT_ANSWER))
    return await _give(visit)


async def paste(visit: Visit) -> Response:
    """Take the answer that somebody has pasted."""
    return await _give(visit)


async def _give(visit: Visit) -> Response:
    text = visit.form.get("answer", "")
    try:
        passkeys.answer_of(text)  # words like 'no' mean something in a chat only
        return await _perform(visit, Request(visit.owner, Ask.PASSKEY, text))
    except PontonError as problem:
        _log(visit, problem)
        return await _how(visit, status_of(problem), visit.told(problem))


async def compare(visit: Visit) -> Response:
    """Take the word on two codes; 'no' also calls a request off."""
    word = visit.form.get("same", "")
    try:
        if word not in {"yes", "no"}:
            raise OwnerError(words.NOT_FROM_HERE)
        return await _perform(
            visit, Request(visit.owner, Ask.PASSKEY, "no" if word == "no" else "", sure=word == "yes")
        )
    except PontonError as problem:
        _log(visit, problem)
        await visit.portal.keep.leave(visit.cookie, visit.told(problem))
        return visit.go("/account")


async def _perform(visit: Visit, request: Request) -> Response:
    answer = await visit.portal.service.perform(request)
    _log(visit)
    await visit.portal.keep.leave(visit.cookie, visit.say(answer.sentence))
    return visit.go("/account")


def _log(visit: Visit, problem: PontonError | None = None) -> None:
    result = type(problem).__name__ if problem else "done"
    level = "warning" if problem else "info"
    visit.portal.log(PortalEvent.ACTED, level, account=visit.account, verb=str(Ask.PASSKEY), result=result)
