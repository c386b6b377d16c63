"""Connections of linked devices: the login, and then every stanza to its place.

`login` is called by the `server` when a client's handshake says that it is linked; `Online` is its stage.
"""

from tests.sandbox.node import JID, SERVER, Node, node
from tests.sandbox.proto import wa_wa6
from tests.sandbox.queries import Queries
from tests.sandbox.world import Device, Sender, Session

LOGGED_OUT = 401  # failure reason on which a client deletes its store
LOGOUT_LINGER = 0.15  # seconds between the answer to a logout and the close


class Online:
    """A logged-in linked device."""

    def __init__(self, device: Device, session: Session, queries: Queries) -> None:
        self._device, self._session = device, session
        self._router, self._queries = queries.router, queries

    def receive(self, stanza: Node) -> None:
        """Answer a query, or route what is meant for others."""
        device, world = self._device, self._router.world
        if device.session is not self._session:
            world.record("accepted_late", device, stanza)  # must never happen: tests count it
        world.record("accepted", device, stanza)
        sender = Sender(device.account, device.number)
        if stanza.tag != "iq":
            self._router.submit(sender.lid, stanza)
        elif stanza.get("type") in {"get", "set"}:
            self._query(sender, stanza)

    def late(self, stanza: Node) -> None:
        """A stanza from a session that was ended: counted, not served."""
        self._router.world.record("arrived_late", self._device, stanza)

    def closed(self) -> None:
        """The connection is gone, unless a newer one has taken its place already."""
        if self._device.session is self._session:
            self._router.companions.departed(self._device)

    def _query(self, sender: Sender, iq: Node) -> None:
        answer = self._queries.answer(sender, iq)
        if answer is None:
            return
        done, xmlns = answer.get("type") == "result", iq.get("xmlns")
        if done and xmlns == "md" and iq.child("remove-companion-device"):
            self._session.end(answer, LOGOUT_LINGER)
            self._router.companions.remove(sender.account, sender.number, "logged out by itself")
            return
        self._session.send(answer)
        if done and xmlns == "passive":
            if iq.child("active"):
                self._router.companions.activated(self._device)
            else:
                self._device.active = False


def login(payload: "wa_wa6.ClientPayload", client_static: bytes, session: Session, queries: Queries) -> Online | None:
    """Log a device in, or tell it why not and end its session (then None).

    The device is known by number and device of the payload, and proves itself by the Noise key that it was
    linked with.
    """
    router = queries.router
    jid = JID(str(payload.username), SERVER, payload.device)
    device = router.world.device(jid)
    if device is None or device.noise != client_static:
        session.end(node("failure", reason=LOGGED_OUT))
        router.world.record("login_refused", jid)
        return None
    failure = router.faults.login(device.lid, device.pn)
    if failure is not None:
        session.end(failure)
        router.world.record("login_failed", device, failure)
        return None
    router.companions.attach(device, session)
    now = str(int(router.world.now()))
    account = device.account
    session.send(node("success", t=now, lid=device.lid, display_name=account.push_name, creation=now, location="lo"))
    return Online(device, session, queries)
