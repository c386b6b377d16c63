"""A phone: device 0 of an account, with an owner who can be scripted and a contact's habits (echo, receipts).

Implements `contract.Handset`; made by `control`. Works through what it receives in the loop's next turn, one
stanza after the other, so no two things ever happen in a Signal session at once. Time and randomness are
arguments: `later(seconds, callback)` is the event loop's `call_later` in production.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from tests.sandbox.contract import Account, Bundle, Network, PairingRefused, PendingCode
from tests.sandbox.node import JID, Node, StanzaError, node
from tests.sandbox.phones import appstate, content
from tests.sandbox.phones.appstate import AppStateError, Mutation
from tests.sandbox.phones.book import Book
from tests.sandbox.phones.inbox import Inbox, Json
from tests.sandbox.phones.line import Line, PhoneError
from tests.sandbox.phones.linking import Linking
from tests.sandbox.phones.outgoing import Outgoing
from tests.sandbox.phones.reception import Habits, Reception
from tests.sandbox.proto import wa_e2e
from tests.sandbox.signal.device import Device
from tests.sandbox.signal.errors import SignalError
from tests.sandbox.signal.kdf import Random

Work = Callable[[], None]
Later = Callable[[float, Work], object]

TURN = 50  # pieces of work done before others get their turn on the loop
WAITING = 20_000  # stanzas and events kept for a phone that is switched off

TYPING = {  # what an owner does in a chat -> child of <chatstate>
    "composing": node("composing"),
    "recording": node("composing", media="audio"),
    "paused": node("paused"),
}


class Phone:
    """Device 0 of `account`, attached to `network`."""

    def __init__(
        self, account: Account, network: Network, *, random: Random, later: Later, habits: Habits | None = None
    ) -> None:
        self.line = line = Line(account, network, Device.create(random), random)
        self.habits, self.inbox = habits or Habits(), Inbox()
        self.outgoing, self.linking, self.book = Outgoing(line), Linking(line), Book(line)
        self.reception = Reception(line, self.outgoing, self.habits, self._record, self._share_keys, self._in_turn)
        self.on = True
        self.forgotten = 0  # work dropped because the phone was off for too long
        self._later, self._scheduled = later, False
        self._work: deque[Work] = deque()

    # What the network tells it (contract.Handset).

    def receive(self, stanza: Node) -> None:
        """Take a stanza addressed to this phone."""
        self._enqueue(partial(self.reception.take, stanza))

    def bundle(self) -> Bundle:
        """Hand out a key bundle."""
        return self.line.device.bundle(self.line.random)

    def companion_linked(self, device: int) -> None:
        """A companion proved its identity."""
        self._record("companion_linked", device=device)

    def companion_refused(self, reason: str) -> None:
        """A companion did not get linked."""
        self._record("companion_refused", reason=reason)

    def companion_active(self, device: int, *, first: bool) -> None:
        """A companion is ready; a new one gets the keys to the app state."""
        self._record("companion_active", device=device, first=first)
        if first and self.habits.app_state:
            self._enqueue(partial(self._share_keys, device))

    def companion_gone(self, device: int, reason: str) -> None:
        """A companion is linked no more."""
        self._record("companion_gone", device=device, reason=reason)

    def finish_code(self, pending: PendingCode, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """Check the companion's half of the code exchange; raises PairingRefused."""
        try:
            return self.linking.finish_code(pending, wrapped_bundle, companion_identity)
        except PairingRefused as error:
            self.companion_refused(str(error))
            raise

    def passkey_prologue(self, payload: bytes, proof: bytes) -> bytes:
        """Take a companion's commitment; raises PairingRefused."""
        return self.linking.passkey_prologue(payload, proof)

    def passkey_nonce(self, nonce: bytes) -> None:
        """Show the code to compare, if it is to be compared; raises PairingRefused."""
        code = self.linking.passkey_code(nonce)
        if code:
            self._record("passkey_code", code=code)

    def passkey_request(self, request: bytes) -> bytes:
        """Accept the companion; raises PairingRefused."""
        try:
            return self.linking.passkey_request(request)
        except PairingRefused as error:
            self.companion_refused(str(error))
            raise

    def app_state_changed(self, collection: str, version: int, patch: bytes) -> None:
        """Take over what a companion changed. At once: the next own change builds on it."""
        try:
            mutations = self.book.apply(collection, version, patch)
        except AppStateError as error:
            self._record("error", reason=str(error))
            return
        for mutation in mutations:
            index, removed = list(mutation.index), mutation.removed
            detail = partial(_value_of, mutation)
            self._record("app_state", detail, collection=collection, index=index, removed=removed)

    # What its owner does with it.

    def switch(self, *, on: bool) -> None:
        """Switch the phone on or off; what arrives meanwhile is worked off afterwards."""
        self.on = on
        self._schedule()

    def send(self, to: JID, message: wa_e2e.Message, message_id: str = "") -> str:
        """Type a message: to the chat's devices and, as copies, to the own companions. Gives its id."""
        message_id = message_id or self.outgoing.new_id()
        if not self.outgoing.send(self.line.chat(to), message, message_id):
            raise PhoneError("no device of this chat has keys")
        return message_id

    def typing(self, to: JID, state: str) -> None:
        """Show what the owner does in a chat: composing, recording or paused."""
        if (shown := TYPING.get(state)) is None:
            raise PhoneError(f"typing is one of {', '.join(TYPING)}")
        self.line.submit(node("chatstate", shown, to=self.line.chat(to)))

    def presence(self, kind: str) -> None:
        """Come online (`available`) or leave (`unavailable`)."""
        if kind not in {"available", "unavailable"}:
            raise PhoneError("presence is available or unavailable")
        self.line.submit(node("presence", type=kind, name=self.line.account.push_name))

    def subscribe(self, to: JID) -> None:
        """Ask for somebody's presence."""
        self.line.submit(node("presence", type="subscribe", to=self.line.chat(to)))

    def receipt(self, to: JID, ids: Iterable[str], kind: str = "read") -> None:
        """Send a receipt for messages of `to`: read, played, or with an empty kind delivered."""
        first, *rest = ids
        items = [node("list", *(node("item", id=each) for each in rest))] if rest else []
        receipt = node("receipt", *items, to=self.line.chat(to), id=first, type=kind, t=self.line.seconds())
        self.line.submit(receipt)

    def unlink(self, device: int) -> None:
        """Remove a companion in the phone's list of linked devices."""
        self.line.network.unlink(self.line.account, device)

    def change(self, changes: Iterable[tuple[str, Mutation]]) -> None:
        """Change the app state, as settings and the address book do; raises PhoneError."""
        if not self.habits.app_state:
            raise PhoneError("this phone shares no app state")
        try:
            self.book.change(changes)
        except AppStateError as error:
            raise PhoneError(str(error)) from error

    def rename(self, push_name: str) -> None:
        """Choose another push name."""
        self.line.account.push_name = push_name
        if self.habits.app_state:
            self.change([appstate.push_name(push_name)])

    # Working things off, in order.

    def _in_turn(self, seconds: float, work: Work) -> None:
        self._later(seconds, partial(self._enqueue, work))

    def _enqueue(self, work: Work) -> None:
        self._work.append(work)
        if len(self._work) > WAITING:
            self._work.popleft()
            self.forgotten += 1
        self._schedule()

    def _schedule(self) -> None:
        if self.on and self._work and not self._scheduled:
            self._scheduled = True
            self._later(0, self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        for _ in range(min(TURN, len(self._work)) if self.on else 0):
            work = self._work.popleft()
            try:
                work()
            except (StanzaError, SignalError, PhoneError) as error:
                self._record("error", reason=f"{type(error).__name__}: {error}")
        self._schedule()

    def _share_keys(self, device: int) -> None:
        key = self.book.key
        share = content.key_share([(key.id, key.data, key.timestamp)])
        self.outgoing.to_companion(device, share, self.outgoing.new_id())

    def _record(self, kind: str, detail: Callable[[], Json] | None = None, **fields: object) -> None:
        self.inbox.add(self.line.network.now(), kind, detail, **fields)


def _value_of(mutation: Mutation) -> Json:
    return {"value": content.to_json(mutation.value)}
