"""What a phone does with the stanzas that reach it: reads, records, acknowledges, answers, echoes.

Made by `phone`, which feeds it one stanza at a time. Every thing it sees becomes a record of the inbox.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.sandbox.node import JID, Node, StanzaError, node
from tests.sandbox.phones import content
from tests.sandbox.phones.inbox import Json
from tests.sandbox.phones.incoming import Incoming, Opened, Unread, read_keys
from tests.sandbox.phones.line import Line
from tests.sandbox.phones.outgoing import Outgoing
from tests.sandbox.proto import wa_e2e

RECEIPTS: dict[str, tuple[str, ...]] = {  # habit -> receipt types sent for each message of somebody else
    "none": (),
    "delivered": ("",),
    "read": ("", "read"),
}
ECHOED = {"conversation", "extendedTextMessage"}  # texts, not the captions or emoji of something else
ECHO_MARK = "3AEC40"  # begins the id of an echo, so that two echoing contacts do not talk for ever
PEER = "peer"  # category of messages between an account's own devices

Recorder = Callable[..., None]  # record(kind, detail=None, **fields)


@dataclass(slots=True)
class Habits:
    """What a phone does by itself."""

    echo: float | None = None  # seconds until a text is sent back; None: never
    receipts: str = "delivered"  # a key of RECEIPTS
    app_state: bool = True  # shares its sync key, push name and contacts with companions


class Reception:
    """The reading half of a phone. `later(seconds, work)` does `work` in the phone's own turn."""

    def __init__(
        self,
        line: Line,
        outgoing: Outgoing,
        habits: Habits,
        record: Recorder,
        share_keys: Callable[[int], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self.line, self.outgoing, self.habits = line, outgoing, habits
        self.incoming = Incoming(line)
        self._record, self._share_keys, self._later = record, share_keys, later
        self._handlers: dict[str, Callable[[Node], None]] = {
            "message": self._message,
            "receipt": self._receipt,
            "chatstate": self._chatstate,
            "presence": self._presence,
            "notification": self._notification,
            "call": self._call,
            "ack": self._ack,
        }

    def take(self, stanza: Node) -> None:
        """Deal with one stanza; raises StanzaError, PhoneError or SignalError for what cannot be dealt with."""
        handler = self._handlers.get(stanza.tag)
        if handler is None:
            raise StanzaError(f"a phone does not understand <{stanza.tag}>")
        handler(stanza)

    def _message(self, stanza: Node) -> None:
        result = self.incoming.open(stanza)
        common = self._about(result.sender) | {"id": stanza.get("id")}
        if isinstance(result, Unread):
            if result.repeat:
                self._record("repeat", **common)
                self._acknowledge(stanza, result.sender)
            else:
                self._record("undecryptable", **common, error=result.error, asked=result.attempt)
            return
        self._acknowledge(stanza, result.sender)
        if stanza.get("category") == PEER:
            self._peer(result, common)
        else:
            self._read(stanza, result, common)

    def _read(self, stanza: Node, opened: Opened, common: Json) -> None:
        own = opened.sender.bare == self.line.lid
        copy = content.sent_copy(opened.message) if own else None
        chat, message = (JID.parse(copy[0]), copy[1]) if copy else (opened.sender, opened.message)
        self._record(
            "message",
            **common,
            chat=self.line.number(chat),
            from_me=own,
            text=content.text_of(message),
            type=content.kind_of(message),
            edit=stanza.get("edit"),
            enc=opened.kind,
            asked=opened.attempt,
            detail=lambda: {"message": content.to_json(message)},
        )
        if not own:
            self._echo(stanza.get("id"), opened.sender.bare, message)

    def _echo(self, message_id: str, chat: JID, message: wa_e2e.Message) -> None:
        """Send a text back after the habit's delay."""
        delay = self.habits.echo
        if delay is None or content.kind_of(message) not in ECHOED or message_id.startswith(ECHO_MARK):
            return
        echo_id = ECHO_MARK + self.line.random(7).hex().upper()
        echoed = content.text_message(content.text_of(message))
        self._later(delay, lambda: self._send(chat, echoed, echo_id))

    def _send(self, chat: JID, message: wa_e2e.Message, message_id: str) -> None:
        self.outgoing.send(chat, message, message_id)

    def _acknowledge(self, stanza: Node, sender: JID) -> None:
        origin, message_id = stanza.jid("from"), stanza.get("id")
        if sender.bare == self.line.lid:
            kind = "peer_msg" if stanza.get("category") == PEER else "sender"
            recipient = stanza.attrs.get("recipient")
            receipt = node("receipt", to=origin, id=message_id, type=kind).with_attrs(recipient=recipient)
            self.line.submit(receipt)
            return
        for kind in RECEIPTS[self.habits.receipts]:
            t = self.line.seconds() if kind else ""
            self.line.submit(node("receipt", to=origin, id=message_id, type=kind, t=t))

    def _peer(self, opened: Opened, common: Json) -> None:
        message = opened.message
        kind = message.protocolMessage.type
        name = wa_e2e.ProtocolMessage.Type.Name(kind)
        self._record("peer", **common, type=name, detail=lambda: {"message": content.to_json(message)})
        if kind == wa_e2e.ProtocolMessage.APP_STATE_SYNC_KEY_REQUEST and self.habits.app_state:
            self._share_keys(opened.sender.device)

    def _receipt(self, stanza: Node) -> None:
        reader = self.line.address(stanza.jid("from"))
        if stanza.get("type") == "retry":
            self._retry(stanza, reader)
            return
        more = [item.get("id") for group in stanza.all("list") for item in group.all("item")]
        chat = stanza.jid("recipient") if "recipient" in stanza.attrs else None
        self._record(
            "receipt",
            **self._about(reader),
            type=stanza.get("type") or "delivered",
            ids=[stanza.get("id"), *more],
            chat=self.line.number(chat) if chat else "",
        )

    def _retry(self, stanza: Node, asker: JID) -> None:
        message_id, attempt = stanza.get("id"), stanza.need("retry").number("count", 1)
        resent = self.outgoing.again(asker, message_id, attempt, read_keys(stanza))
        self._record("retry", **self._about(asker), id=message_id, attempt=attempt, resent=resent)

    def _chatstate(self, stanza: Node) -> None:
        shown = stanza.child("composing", "paused")
        recording = shown is not None and shown.get("media") == "audio"
        state = "recording" if recording else shown.tag if shown else ""
        self._record("chatstate", **self._about(stanza.jid("from")), state=state)

    def _presence(self, stanza: Node) -> None:
        available, last = stanza.get("type") != "unavailable", stanza.get("last")
        self._record("presence", **self._about(stanza.jid("from")), available=available, last=last)

    def _notification(self, stanza: Node) -> None:
        self._record("notification", type=stanza.get("type"), stanza=str(stanza))

    def _call(self, stanza: Node) -> None:
        step = stanza.child()
        self._record("call", **self._about(stanza.jid("from")), step=step.tag if step else "")

    def _ack(self, stanza: Node) -> None:
        if error := stanza.get("error"):
            self._record("refused", id=stanza.get("id"), error=error)

    def _about(self, sender: JID) -> Json:
        return {"from": self.line.number(sender), "device": sender.device}
