"""A gateway that only looks like one: what the clients see, with nothing behind it.

An XEP-0114 component for the experiment, and for work on the scenarios while the product is not there.
It knows one contact, shows codes by the rule of docs/adr/0001, and says what it heard.
"""

import asyncio
import base64
import hashlib
import ssl
from pathlib import Path
from xml.etree import ElementTree as ET

import aiohttp
from slixmpp import JID
from slixmpp.componentxmpp import ComponentXMPP
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream import StanzaBase
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from tests.clients import layout, pictures, shapes
from tests.clients.process import LabError, until

_UPLOAD = "urn:xmpp:http:upload:0"
_REGISTER = "jabber:iq:register"
NUMBER = "+447700900456"  # this one and the next: Ofcom keeps them for fiction
CONTACT = layout.contact("447700900123")
LETTERS = "ABCD-2345"
_INFO = "http://jabber.org/protocol/disco#info"

GATEWAY_INFO = f"""<query xmlns='{_INFO}'><identity category='gateway' type='whatsapp' name='WhatsApp'/>
<identity category='account' type='registered'/><feature var='{_REGISTER}'/><feature var='jabber:iq:gateway'/>
<feature var='http://jabber.org/protocol/commands'/><feature var='{_INFO}'/></query>"""
CONTACT_INFO = f"""<query xmlns='{_INFO}'><identity category='account' type='registered'/>
<feature var='urn:xmpp:receipts'/><feature var='{_INFO}'/></query>"""
FORM = f"""<query xmlns='{_REGISTER}'><instructions>Links your WhatsApp account.</instructions>
<x xmlns='jabber:x:data' type='form'><title>WhatsApp</title>
<instructions>Press Register: a code to scan comes as a picture.</instructions>
<field type='hidden' var='FORM_TYPE'><value>{_REGISTER}</value></field>
<field type='text-single' var='phone' label='Number (only for an 8-letter code)'/></x></query>"""
HELP = "Write 'register' to link your WhatsApp account."
HOW = "On your phone open WhatsApp > Settings > Linked devices > Link a device, and scan the code below."


class StandIn(ComponentXMPP):
    """The component; `codes` maps a live code's text to the client that shows it and its message's id."""

    def __init__(self, secret: str, ca: Path) -> None:
        super().__init__(layout.GATEWAY, secret, "127.0.0.1", layout.PORTS.shards)  # type: ignore[no-untyped-call]
        self._trust = ssl.create_default_context(cafile=str(ca))
        self._count = 0
        self.ready = asyncio.Event()
        self._tasks: set[asyncio.Future[None]] = set()
        self._heard: list[tuple[str, str]] = []
        self.codes: dict[str, tuple[JID, str]] = {}
        self.add_event_handler("session_start", lambda _: self.ready.set())
        self.del_event_handler("presence_probe", self._handle_probe)
        self.roster.auto_authorize = None  # type: ignore[assignment] # None is documented: neither yes nor no
        self.roster.auto_subscribe = False
        self.add_event_handler("message", self._message)
        for kind in ("subscribe", "probe", "available"):
            self.add_event_handler(f"presence_{kind}", self._presence)
        self.register_handler(Callback("queries", MatchXPath(f"{{{self.default_ns}}}iq"), self._query))

    async def upload(self, png: bytes, name: str = "code.png") -> shapes.Picture:
        """Put a picture on the lab's upload service (XEP-0363, slot asked as the component)."""
        iq = self.make_iq_get(ito=JID(layout.UPLOAD), ifrom=JID(layout.GATEWAY))
        wanted = {"filename": name, "size": str(len(png)), "content-type": "image/png"}
        iq.xml.append(ET.Element(f"{{{_UPLOAD}}}request", wanted))
        answer = (await iq.send(timeout=10)).xml  # type: ignore[no-untyped-call]
        put, get = (answer.find(f".//{{{_UPLOAD}}}{way}") for way in ("put", "get"))
        if put is None or get is None:
            raise RuntimeError("the upload service gave no slot")
        headers = {head.attrib["name"]: head.text or "" for head in put} | {"Content-Type": "image/png"}
        async with (
            aiohttp.ClientSession() as session,
            session.put(put.attrib["url"], data=png, headers=headers, ssl=self._trust) as response,
        ):
            response.raise_for_status()
        width, height = pictures.size(png)
        digest = base64.b64encode(hashlib.sha256(png).digest()).decode()
        return shapes.Picture(get.attrib["url"], name, len(png), width, height, digest)

    def tell(self, to: str, *content: str, sender: str = layout.GATEWAY, kind: str = "chat") -> str:
        """Send a message made of `content`; returns its id."""
        self._count += 1
        ident = f"m{self._count}"
        self.send_raw(shapes.message(sender, to, ident, *content, kind=kind))
        return ident

    async def show_code(self, client: JID, text: str) -> None:
        """Show a code to one client of an owner, as ADR 0001 says: how to scan, then the picture."""
        picture = await self.upload(pictures.code_png(text))
        self.tell(client.full, shapes.body(HOW), shapes.NO_ARCHIVE)
        ident = self.tell(client.full, shapes.image(picture), shapes.NO_ARCHIVE)
        self.codes[text] = (client, ident)

    async def contact(self, user: layout.User) -> str:  # noqa: ARG002 - the same for everybody
        """The one contact that it knows."""
        return CONTACT

    async def number(self, user: layout.User) -> str:  # noqa: ARG002 - the same for everybody
        """Any number will do here."""
        return NUMBER

    async def scan(self, user: layout.User, code: str) -> None:
        """The phone scanned `code`: the link is made and the contact comes online."""
        shown = self.codes.pop(code, None)
        if shown is None or shown[0].bare != user.jid:
            raise LabError("this is no live code of this user")
        self.tell(shown[0].full, shapes.retracts(shown[1], "The code above was used."), shapes.NO_ARCHIVE)
        self._linked(user.jid)

    async def type_in(self, user: layout.User, letters: str) -> None:
        """The letters were typed on the phone."""
        if letters != LETTERS:
            raise LabError("these are not the letters that were shown")
        self._linked(user.jid)

    async def say(self, user: layout.User, text: str) -> None:
        """The contact writes to the user."""
        self.tell(user.jid, shapes.body(text), sender=f"{CONTACT}/whatsapp")

    async def heard(self, user: layout.User, text: str) -> None:
        """Wait until the contact got this text from the user."""

        async def came() -> bool:
            return (user.jid, text) in self._heard

        await until("the contact got the text", came, 10)

    def _linked(self, owner: str) -> None:
        self.tell(owner, shapes.body("You are linked with WhatsApp."))
        self._add(owner, CONTACT, "Ana", "WhatsApp")

    def _message(self, message: Message) -> None:
        owner, text = message["from"].bare, str(message["body"])
        if not text:
            return
        if message["to"].bare == CONTACT:
            self._heard.append((owner, text))
        elif text.startswith("register +"):
            self.tell(owner, shapes.body(f"Your code is {LETTERS}. Type it on the phone."))
        elif text == "register":
            self._register(message["from"])
        else:
            self.tell(owner, shapes.body(HELP))

    def _presence(self, presence: Presence) -> None:
        owner, here = presence["from"].bare, presence["to"].bare
        if presence["type"] == "subscribe":
            self.make_presence(pto=JID(owner), pfrom=JID(here), ptype="subscribed").send()
        self.make_presence(pto=JID(owner), pfrom=JID(here)).send()

    def _register(self, client: JID) -> None:
        self._add(client.bare, layout.GATEWAY, "WhatsApp")
        self._count += 1
        code = self.show_code(client, sample_code(f"owner {self._count}"))
        self._tasks.add(task := asyncio.ensure_future(code))
        task.add_done_callback(self._tasks.discard)

    def _add(self, owner: str, jid: str, name: str, group: str = "") -> None:
        """Write into the owner's roster (XEP-0356), then be there."""
        self._count += 1
        self.send_raw(shapes.roster_item(layout.GATEWAY, owner, f"r{self._count}", jid, name, group))
        self.make_presence(pto=JID(owner), pfrom=JID(jid)).send()

    def _query(self, iq: StanzaBase) -> None:
        if not isinstance(iq, Iq) or iq["type"] not in {"get", "set"}:
            return
        reply, text = iq.reply(), ""  # type: ignore[no-untyped-call]
        payload = iq.xml[0].tag if len(iq.xml) else ""
        if payload == f"{{{_INFO}}}query":
            text = GATEWAY_INFO if iq["to"].bare == layout.GATEWAY else CONTACT_INFO
        elif payload == f"{{{_REGISTER}}}query" and iq["type"] == "get":
            text = FORM
        elif payload == f"{{{_REGISTER}}}query":
            self._register(iq["from"])
        else:
            reply.error()
            reply["error"]["condition"] = "service-unavailable"
        if text:
            reply.xml.append(ET.fromstring(text))  # noqa: S314 - our own text
        reply.send()


def sample_code(name: str) -> str:
    """A text as long as a WhatsApp pairing code, told apart by `name`."""
    return f"2@{'Ab3dEf+/' * 14},{name},{'x' * 43}=,{'y' * 43}=,{'z' * 43}="
