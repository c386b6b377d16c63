"""The server's answers to queries (`iq` of linked devices): who serves which namespace, errors, and the small ones.

Called by `online`. Larger subjects are served by `keyserver`, `directory` and `profiles`; further ones (groups)
register a handler. What nobody serves is answered with error 501 and counted, so that gaps are seen.
"""

from collections.abc import Callable

from tests.sandbox.directory import Directory
from tests.sandbox.keyserver import KeyServer
from tests.sandbox.node import SERVER_JID, Node, QueryError, StanzaError, node
from tests.sandbox.profiles import Profiles
from tests.sandbox.router import Router
from tests.sandbox.world import Sender

# Serves one namespace: returns the content of the result; raises `QueryError` or `StanzaError`.
Handler = Callable[[Sender, Node], list[Node]]
MEDIA_HOST = "mmg.whatsapp.net"
# An empty result is all that these want.
EMPTY = (
    "w:p",
    "passive",
    "disappearing_mode",
    "urn:xmpp:whatsapp:push",
    "urn:xmpp:whatsapp:dirty",
)


class Queries:
    """All that a linked device may ask in one world."""

    def __init__(self, router: Router) -> None:
        self.router, self.world = router, router.world
        self.profiles = profiles = Profiles(router.delivery)
        keys, directory = KeyServer(router), Directory(router.world)
        self.handlers: dict[str, Handler] = dict.fromkeys(EMPTY, lambda _sender, _iq: []) | {
            "encrypt": keys.query,
            "usync": directory.usync,
            "w:qr": directory.contact_link,
            "w:sync:app:state": router.states.query,
            "privacy": profiles.privacy,
            "w:profile:picture": profiles.picture,
            "status": profiles.status,
            "blocklist": profiles.blocklist,
            "w:m": lambda _sender, _iq: [self._media_host()],
            "w:mex": profiles.mex,
            "bot": lambda _sender, _iq: [node("bot", v=2)],
            "md": self._logout,
        }

    def answer(self, sender: Sender, iq: Node) -> Node | None:
        """The answer to a query; None where a fault keeps the server silent."""
        fault = self.router.faults.query(iq.get("xmlns"), *sender.names)
        if fault is not None:
            return _error(iq, fault, "made by a fault knob") if fault else None
        handler = self.handlers.get(iq.get("xmlns"), self._unknown)
        try:
            return _reply(iq, "result", *handler(sender, iq))
        except QueryError as error:
            return _error(iq, error.code, error.text)
        except StanzaError:
            return _error(iq, 400, "bad-request")

    def _unknown(self, sender: Sender, iq: Node) -> list[Node]:
        child = iq.child()
        self.world.unimplemented[f"{iq.get('xmlns')} {child.tag if child else ''}".strip()] += 1
        self.world.record("asked_in_vain", sender.device, iq)
        raise QueryError(501, "feature-not-implemented")

    def _media_host(self) -> Node:
        host, token = node("host", hostname=MEDIA_HOST), self.world.entropy(16).hex()
        return node("media_conn", host, auth=token, ttl=3600, auth_ttl=3600, max_buckets=12)

    def _logout(self, sender: Sender, iq: Node) -> list[Node]:
        """Accept a device's wish to be forgotten; `online` does it once this answer is written."""
        return self._unknown(sender, iq) if iq.child("remove-companion-device") is None else []


def _reply(iq: Node, kind: str, *content: Node) -> Node:
    return node("iq", *content, type=kind, id=iq.get("id"), from_=iq.attrs.get("to", SERVER_JID))


def _error(iq: Node, code: int, text: str) -> Node:
    return _reply(iq, "error", node("error", code=code, text=text))
