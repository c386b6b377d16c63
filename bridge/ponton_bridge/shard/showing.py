"""Shows codes to the owner's clients, replaces them, and says when they are over.

Carries out the link machine's ShowCode and ExpireCode, one after another in a task of its own, since a picture has to
be uploaded first; a picture that a newer code has overtaken is not sent. The shapes are in `xmpp.codes`. Part of the
shard program.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.core.effects import ExpireCode, ShowCode
from ponton_bridge.model.errors import PontonError
from ponton_bridge.shard.account import Account, fresh_id
from ponton_bridge.shard.events import Event
from ponton_bridge.whatsapp.port import CodeKind
from ponton_bridge.xmpp import codes
from ponton_bridge.xmpp.codes import Picture
from ponton_bridge.xmpp.stream import ShardStream
from ponton_bridge.xmpp.upload import UploadFailed, upload

WORDS: Final = {  # what is said to a client; a request itself is no text for people
    CodeKind.PHONE: codes.TYPE_IT,
    CodeKind.PASSKEY: codes.PASSKEY,
    CodeKind.COMPARE: codes.COMPARE,
}
USED: Final = {CodeKind.PASSKEY: codes.ANSWERED, CodeKind.COMPARE: codes.COMPARED}
EXPIRED: Final = {CodeKind.PASSKEY: codes.NOT_ANSWERED, CodeKind.COMPARE: codes.NOT_ANSWERED}


class Showing:
    """`do` takes an effect and returns at once; `run` carries them out in order. `is_here` knows the owner's clients.

    Nothing is sent to a client that has gone: the server would give it to another one, or keep it for later.
    """

    def __init__(self, account: Account, stream: ShardStream, is_here: Callable[[str], bool]) -> None:
        self._account = account
        self._stream = stream
        self._is_here = is_here
        self._jobs: asyncio.Queue[ShowCode | ExpireCode] = asyncio.Queue()
        self._newest = ""  # text of the QR that was asked for last
        self._picture: tuple[str, Picture] | None = None  # the QR's text and its uploaded picture
        self._explained: set[str] = set()  # resources that know how to scan
        self._noticed: set[tuple[str, str]] = set()  # resource and text of an end that was said already
        self._shown: dict[CodeKind, dict[str, str]] = {kind: {} for kind in CodeKind}  # resource -> id of the message

    def do(self, effect: ShowCode | ExpireCode) -> None:
        """Queue it; what the machine gives is few and ends with the attempt."""
        if isinstance(effect, ShowCode) and effect.code.kind == CodeKind.QR:
            self._newest = effect.code.text
        self._jobs.put_nowait(effect)

    async def run(self) -> None:
        """Carry out what is queued, until cancelled."""
        while True:
            match await self._jobs.get():
                case ShowCode(code, to):
                    await self._show(code, to)
                case ExpireCode(kind, linked):
                    self._expire(kind, USED.get(kind, codes.USED) if linked else EXPIRED.get(kind, codes.EXPIRED))
                    self._explained.clear()

    def close(self) -> None:
        """Retract whatever is shown: this process can link nobody any more."""
        for kind in CodeKind:
            self._expire(kind, EXPIRED.get(kind, codes.EXPIRED))

    async def _show(self, code: LiveCode, to: tuple[str, ...]) -> None:
        kind = CodeKind(code.kind)
        self._noticed.clear()
        if kind is CodeKind.QR:
            if code.text != self._newest:
                return
            picture = await self._uploaded(code)
            for resource in filter(self._is_here, to):
                self._explain(resource, codes.HOW_TO_SCAN if picture else codes.NO_PICTURE)
                if picture:
                    self._replace(resource, picture)
        else:
            minutes = max(1, round((code.expires - self._account.clock()) / 60))
            body = WORDS[kind].format(code=code.text, minutes=minutes)
            for resource in filter(self._is_here, to):
                self._shown[kind][resource] = message_id = fresh_id()
                self._stream.offer(codes.text(self._account.config.domain, resource, message_id, body))
        self._account.log(Event.CODE_SHOWN, kind=kind, turn=code.number, clients=len(to))

    async def _uploaded(self, code: LiveCode) -> Picture | None:
        """Draw and upload, once per code; None, with a word in the log, when that cannot be done."""
        if self._picture and self._picture[0] == code.text:
            return self._picture[1]
        config = self._account.config
        if not config.upload_host:
            self._account.log(Event.CODE_NOT_SHOWN, "warning", error="NoUploadHost")
            return None
        from ponton_bridge.xmpp.qr import picture  # noqa: PLC0415 - only while somebody waits to scan

        data, side = await asyncio.to_thread(picture, code.text)
        try:
            url = await upload(
                self._stream.request,
                config.upload_host,
                config.domain,
                data,
                name=codes.NAME,
                content_type=codes.PNG,
                ca=config.upload_ca,
            )
        except PontonError as error:
            why = str(error) if isinstance(error, UploadFailed) else getattr(error, "refusal", "")
            self._account.log.failure(Event.CODE_NOT_SHOWN, error, "warning", why=why)
            return None
        self._picture = code.text, Picture(url, data, side)
        return self._picture[1]

    def _explain(self, resource: str, body: str) -> None:
        if resource not in self._explained:
            self._explained.add(resource)
            self._stream.offer(codes.text(self._account.config.domain, resource, fresh_id(), body))

    def _replace(self, resource: str, picture: Picture) -> None:
        """Retract the picture that the resource has, then send the new one: never the other way round."""
        domain = self._account.config.domain
        shown = self._shown[CodeKind.QR]
        if before := shown.get(resource):
            self._stream.offer(codes.retraction(domain, resource, fresh_id(), before, codes.EXPIRED))
        shown[resource] = message_id = fresh_id()
        self._stream.offer(codes.image(domain, resource, message_id, picture))

    def _expire(self, kind: CodeKind, body: str) -> None:
        """Retract what is shown of this kind; its text is said once to each client, where two codes end together."""
        domain = self._account.config.domain
        for resource, message_id in self._shown[kind].items():
            if not self._is_here(resource):
                continue
            said = (resource, body) in self._noticed
            self._noticed.add((resource, body))
            self._stream.offer(codes.retraction(domain, resource, fresh_id(), message_id, "" if said else body))
        if self._shown[kind]:
            self._account.log(Event.CODE_EXPIRED, kind=kind)
        self._shown[kind].clear()
        if kind is CodeKind.QR:
            self._newest, self._picture = "", None
