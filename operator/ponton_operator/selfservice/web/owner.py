"""The owner's pages: how the link is, live; everything that an owner can ask for, as a button; what is stored.

A button is a form that goes to `/account/VERB`; the account service does it and gives the sentence for the next page.
"""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Final

import segno
from starlette.responses import Response, StreamingResponse

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.model.errors import PontonError
from ponton_operator.selfservice import words
from ponton_operator.selfservice.service import Ask, Request
from ponton_operator.selfservice.web.events import PortalEvent
from ponton_operator.selfservice.web.gate import Visit, status_of
from ponton_operator.selfservice.web.live import View

QR: Final = "qr"  # LiveCode.kind, as ponton_bridge.whatsapp.port.CodeKind has it
STREAM_SECONDS: Final = 600.0  # that a page is told of changes before its browser asks again, logged in or not
STREAMS: Final = 2000  # pages that are told of changes at once, by one replica
VERBS: Final = {
    "create": Ask.REGISTER,
    "code": Ask.CODE,
    "phone": Ask.PAIR,
    "pause": Ask.PAUSE,
    "resume": Ask.RESUME,
    "unlink": Ask.UNLINK,
    "delete": Ask.DELETE,
    "preferences": Ask.PREFERENCES,
}
CONFIRMED: Final = frozenset({Ask.UNLINK, Ask.DELETE})


async def account(visit: Visit) -> Response:
    """Show how the link is, or the form to begin."""
    view = await visit.portal.live.view(visit.owner)
    notice = await visit.portal.keep.take(visit.cookie)
    return _shown(visit, view, notice=notice)


def _shown(visit: Visit, view: View, status: int = 200, **values: object) -> Response:
    template = "account.html" if view.account else "create.html"
    return visit.page(template, status, **{"view": view, "open": visit.portal.limits.open, **values})


async def part(visit: Visit) -> Response:
    """Give what the page shows of the link, for the script that puts it in place."""
    return visit.page("part.html", view=await visit.portal.live.last(visit.owner))


async def act(visit: Visit) -> Response:
    """Do what a button says, then show the page again."""
    verb = visit.request.path_params["verb"]
    ask = VERBS.get(verb)
    if ask is None:
        return visit.page("error.html", 404, problem=visit.say(words.NO_PAGE))
    sure = visit.form.get("sure") == "yes"
    if (ask in CONFIRMED and not sure) or (ask is Ask.PREFERENCES and visit.form.get("chosen") != "yes"):
        return visit.go(f"/account/{verb}")
    choices = {name: visit.form.get(name) == "yes" for name in words.CHOICES} if ask is Ask.PREFERENCES else {}
    try:
        typed = visit.form.get("phone", "")
        request = Request(visit.owner, ask, typed, sure=sure, watching=True, choices=choices)
        answer = await visit.portal.service.perform(request)
    except PontonError as problem:
        visit.portal.log(
            PortalEvent.ACTED, "warning", account=visit.account, verb=str(ask), result=type(problem).__name__
        )
        if ask is Ask.PAIR:
            return visit.page(
                "phone.html", status_of(problem), phone=visit.form.get("phone", ""), problem=visit.told(problem)
            )
        view = await visit.portal.live.view(visit.owner)
        return _shown(visit, view, status_of(problem), problem=visit.told(problem))
    visit.portal.log(PortalEvent.ACTED, account=visit.account, verb=str(ask), result="done")
    await visit.portal.keep.leave(visit.cookie, visit.say(answer.sentence))
    return visit.go("/account")


async def ask_first(visit: Visit) -> Response:
    """Ask for the number, for what somebody chooses, or whether they are sure."""
    verb = visit.request.path_params["verb"]
    if verb == Ask.PREFERENCES:
        return visit.page("preferences.html", chosen=await visit.portal.service.chosen(visit.owner))
    if verb == "phone":
        return visit.page("phone.html", phone="")
    if VERBS.get(verb) not in CONFIRMED:
        return visit.page("error.html", 404, problem=visit.say(words.NO_PAGE))
    return visit.page("confirm.html", verb=verb)


async def picture(visit: Visit) -> Response:
    """Give the live code as a picture, for its owner only."""
    code = (await visit.portal.live.view(visit.owner)).code
    if code is None or code.kind != QR:
        return Response(status_code=404)
    return Response(await asyncio.to_thread(_draw, code), media_type="image/svg+xml")


def _draw(code: LiveCode) -> bytes:
    """Draw it black on white, whatever the page's colours: cameras read nothing else for sure."""
    out = io.BytesIO()
    segno.make_qr(code.text).save(out, kind="svg", scale=6, border=4, dark="#000", light="#fff", xmldecl=False)
    return out.getvalue()


async def events(visit: Visit) -> Response:
    """Tell a page that stays open when there is something else to show (server-sent events)."""
    live = visit.portal.live
    if live.watched >= STREAMS:
        visit.portal.log(PortalEvent.LIMITED, "warning", kind="streams")
        return Response(status_code=503)

    async def lines() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        async for view in live.follow(visit.owner, STREAM_SECONDS):
            yield f"event: changed\ndata: {view.version}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def export(visit: Visit) -> Response:
    """Give all that is stored about the owner, as JSON or in a zip."""
    record = json.dumps(await visit.portal.service.export(visit.owner), indent=1, ensure_ascii=False).encode()
    visit.portal.log(PortalEvent.ACTED, account=visit.account, verb="export", result="done")
    if not visit.request.url.path.endswith(".zip"):
        return _file(record, "application/json", "ponton.json")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ponton.json", record)
    return _file(out.getvalue(), "application/zip", "ponton.zip")


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
