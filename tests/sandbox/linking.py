"""Connections of devices that are not linked yet: the codes that they show, and how one becomes a companion.

`Linking` is the stage of such a connection, begun by the `server`; `Lobby` finds it for the phone, on behalf of
the `router`. The cryptography is in `pairing`, the phone's decisions are the handset's.
"""

import base64
from collections.abc import Callable
from typing import NamedTuple

from tests.sandbox import pairing
from tests.sandbox.contract import PairingRefused, PendingLink
from tests.sandbox.delivery import Delivery
from tests.sandbox.demand import Demand
from tests.sandbox.faults import last_words
from tests.sandbox.node import JID, SERVER_JID, Node, QueryError, node
from tests.sandbox.world import Account, Device, Session

REF_SIZE = 32  # random bytes in a reference; the client shows it in the code as it is, it must hold no comma
RESTART = last_words("restart")


class Lobby:
    """All connections that wait to be linked, by what a phone learns of them."""

    def __init__(self, delivery: Delivery, admit: Callable[[Device], None]) -> None:
        self.delivery, self.admit = delivery, admit
        self.by_ref: dict[str, Linking] = {}
        self.by_number: dict[JID, Linking] = {}

    def attempt(self, pending: PendingLink) -> "Linking":
        """The stage behind what a phone was given; raises `PairingRefused` if it has gone meanwhile."""
        if isinstance(pending, Linking) and not pending.over:
            return pending
        raise PairingRefused("the device that showed this code is gone")


class Offer(NamedTuple):
    """A pair-success under way: for whom, under which device number, with what, and the id of its query."""

    account: Account
    number: int
    container: bytes
    query: str


class Linking:
    """One device that wants to be linked; a `contract.PendingCode` to the phones."""

    def __init__(self, lobby: Lobby, session: Session, noise_public: bytes, registration: pairing.Registration) -> None:
        self._lobby, self._session, self._registration = lobby, session, registration
        self._delivery, self._world = lobby.delivery, lobby.delivery.world
        self._noise = noise_public
        self._refs: list[str] = []
        self._number: JID | None = None  # of the account that a typed code is for
        self._offer: Offer | None = None
        self._demand: Demand | None = None
        self.ref = b""
        self.wrapped_companion_ephemeral = b""
        self.over = False

    @property
    def noise_public(self) -> bytes:
        """The companion's Noise key."""
        return self._noise

    @property
    def identity_public(self) -> bytes:
        """The companion's Signal identity."""
        return self._registration.identity

    def begin(self) -> None:
        """Offer the references for QR codes."""
        self._refs = [self._fresh_ref() for _ in range(self._world.settings.qr_refs)]
        self._lobby.by_ref |= dict.fromkeys(self._refs, self)
        refs = (node("ref", ref.encode()) for ref in self._refs)
        self._session.send(self._iq(node("pair-device", *refs)))
        self._world.record("offered_codes")

    def receive(self, stanza: Node) -> None:
        """Take a stanza of the unlinked device; only linking and pings mean anything yet."""
        self._world.record("heard_unlinked", None, stanza)
        if stanza.tag != "iq":
            return
        kind = stanza.get("type")
        if kind in {"result", "error"}:
            if self._offer is not None and stanza.get("id") == self._offer.query:
                self._answered(stanza, self._offer)
            return
        request = stanza.child("link_code_companion_reg")
        if request is not None:
            self._code_request(stanza, request)
        elif self._demand is not None and stanza.get("xmlns") == "md":
            self._passkey_query(stanza, self._demand)
        elif stanza.get("xmlns") == "w:p":
            self._session.send(node("iq", type="result", id=stanza.get("id"), from_=SERVER_JID))
        else:
            self._refuse(stanza, 501, "not before login")

    def late(self, stanza: Node) -> None:
        """Nothing that a linked device says before it comes back matters."""

    def closed(self) -> None:
        """The connection is gone: its codes mean nothing any more."""
        if self._offer is not None and not self.over:
            self._tell_refused("the connection was lost")
        self._leave()

    def link(self, account: Account, number: int, container: bytes) -> None:
        """Ask the device for a passkey where the account has one, else tell it that the phone accepts it.

        Called by the router for the phone.
        """
        if account.passkey is None or account.phone is None:
            self._accept_device(account, number, container)
            return

        def notify(kind: str, content: Node) -> None:
            self._session.send(self._delivery.notification(kind, SERVER_JID, content))

        self._demand = Demand(
            account.passkey,
            account.phone,
            self._world.entropy,
            notify,
            lambda made: self._accept_device(account, number, made),
        )
        self._demand.begin()

    def _passkey_query(self, iq: Node, demand: Demand) -> None:
        child = iq.child()
        if child is not None and child.tag == "ref":
            self._accept(iq, node("ref", self._fresh_ref().encode()))
            return
        try:
            served = demand.query(child) if child is not None else None
        except QueryError as error:
            self._world.record("passkey_refused")
            self._refuse(iq, error.code, error.text)
            return
        if served is None:
            self._refuse(iq, 501, "feature-not-implemented")
            return
        content, behind = served
        self._accept(iq, *content)
        behind()

    def _accept_device(self, account: Account, number: int, container: bytes) -> None:
        """Tell the device that the phone accepts it.

        The number is taken from now on, so that two devices that are linked at the same time get different ones.
        """
        account.next_device = max(account.next_device, number + 1)
        number_jid, lid = account.pn.of_device(number), account.lid.of_device(number)
        success = self._iq(
            node(
                "pair-success",
                node("device-identity", container),
                node("device", jid=number_jid, lid=lid),
                node("platform", name="android"),
            ),
            t=str(self._delivery.seconds()),
        )
        self._offer = Offer(account, number, container, success.get("id"))
        self._session.send(success)

    def primary_hello(self, wrapped_primary: bytes, primary_identity: bytes) -> None:
        """Tell the device that its code was typed on the phone; called by the router for the phone."""
        registration = node(
            "link_code_companion_reg",
            node("link_code_pairing_wrapped_primary_ephemeral_pub", wrapped_primary),
            node("primary_identity_pub", primary_identity),
            node("link_code_pairing_ref", self.ref),
            stage="primary_hello",
        )
        self._session.send(self._delivery.notification("link_code_companion_reg", SERVER_JID, registration))

    def _code_request(self, iq: Node, request: Node) -> None:
        account = self._world.account(request.jid("jid") if "jid" in request.attrs else self._number or SERVER_JID)
        if account is None:
            self._refuse(iq, 404, "item-not-found")
        elif request.get("stage") == "companion_hello":
            self.ref = self._fresh_ref().encode()
            self.wrapped_companion_ephemeral = request.need("link_code_pairing_wrapped_companion_ephemeral_pub").data
            self._forget_number()
            self._number = account.pn
            self._lobby.by_number[account.pn] = self
            answer = node("link_code_pairing_ref", self.ref)
            self._accept(iq, node("link_code_companion_reg", answer, stage="companion_hello"))
        else:
            self._code_finish(iq, request, account)

    def _code_finish(self, iq: Node, request: Node, account: Account) -> None:
        bundle = request.need("link_code_pairing_wrapped_key_bundle").data
        identity = request.need("companion_identity_public").data
        if account.phone is None or request.need("link_code_pairing_ref").data != self.ref:
            self._refuse(iq, 404, "item-not-found")
            return
        try:
            container = account.phone.finish_code(self, bundle, identity)
        except PairingRefused:
            self._world.record("code_refused", account.lid)
            self._refuse(iq, 400, "bad-request")
            return
        self._accept(iq)
        self.link(account, account.next_device, container)

    def _answered(self, iq: Node, offer: Offer) -> None:
        """The device answered pair-success: with its signature, or with what it does not believe."""
        if iq.get("type") == "error":
            error = iq.child("error")
            self._tell_refused(error.get("text") if error else "refused without a reason")
            return
        returned = iq.need("pair-device-sign").need("device-identity").data
        try:
            identity, key_index = pairing.complete_identity(offer.container, returned, self.identity_public)
        except PairingRefused as refusal:
            self._tell_refused(str(refusal))
            self._session.end()
            return
        self._leave()
        keys, number = self._registration, offer.number
        device = Device(
            offer.account, number, key_index, self._noise, keys.identity, keys.registration, keys.signed, identity
        )
        self._lobby.admit(device)
        self._session.end(RESTART, self._world.settings.restart_linger)

    def _tell_refused(self, reason: str) -> None:
        offer, self._offer = self._offer, None
        if offer is None:
            return
        self._world.record("link_refused", offer.account.lid)
        if offer.account.phone is not None:
            offer.account.phone.companion_refused(reason)

    def _leave(self) -> None:
        self.over = True
        for ref in self._refs:
            self._lobby.by_ref.pop(ref, None)
        self._forget_number()

    def _forget_number(self) -> None:
        if self._number is not None and self._lobby.by_number.get(self._number) is self:
            del self._lobby.by_number[self._number]

    def _fresh_ref(self) -> str:
        return "2@" + base64.b64encode(self._world.entropy(REF_SIZE)).decode()

    def _iq(self, *content: Node, **attrs: str | JID) -> Node:
        fresh = self._delivery.fresh_id()
        return node("iq", *content, type="set", xmlns="md", from_=SERVER_JID, id=fresh, **attrs)

    def _accept(self, iq: Node, *content: Node) -> None:
        self._session.send(node("iq", *content, type="result", id=iq.get("id"), from_=SERVER_JID))

    def _refuse(self, iq: Node, code: int, text: str) -> None:
        error = node("error", code=code, text=text)
        self._session.send(node("iq", error, type="error", id=iq.get("id"), from_=SERVER_JID))
