"""Subscription and presence of the gateway itself (XEP-0100, 5.1 and 5.4), pure: what came in, what goes out.

The gateway's presence is the state of the owner's link, in the same words everywhere. While a shard runs it sends each
change itself; the desk answers those who ask or come online.
"""

from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.model.xml import el
from ponton_operator.selfservice.xmpp import stanzas


def of_state(domain: str, to: str, reason: Reason | None) -> Element:
    """Make the gateway's presence for an owner; without an account it is simply not there."""
    if reason is None or TABLE[reason].show is None:
        return stanzas.presence(domain, to, "unavailable")
    return stanzas.presence(domain, to, None, TABLE[reason].show or "", TABLE[reason].sentence)


def answer(stanza: Element, domain: str, reason: Reason | None) -> list[Element]:
    """Answer a presence to the bare gateway domain; `reason` is the state of the owner's link, None unregistered."""
    sender = stanza.get("from", "")
    owner = stanzas.bare(sender)
    match stanza.get("type"):
        case "subscribe":
            agreed = stanzas.presence(domain, owner, "subscribed")
            if reason is None:
                return [agreed]
            return [agreed, stanzas.presence(domain, owner, "subscribe"), of_state(domain, owner, reason)]
        case "unsubscribe":
            return [stanzas.presence(domain, owner, "unsubscribed")]
        case "probe":
            return [of_state(domain, sender, reason)]
        case None:
            return [of_state(domain, sender, reason)] if reason is not None else []
        case _:  # subscribed, unsubscribed, unavailable, error: noted by the shard, nothing to say
            return []


def for_nobody(stanza: Element) -> list[Element]:
    """Answer a presence to a contact from somebody without an account: subscriptions end, the rest is silence."""
    kind = {"subscribe": "unsubscribed", "probe": "unavailable"}.get(stanza.get("type") or "")
    if kind is None:
        return []
    return [el("presence", xml.CLIENT, type_=kind, to=stanzas.bare(stanza.get("from", "")), from_=stanza.get("to"))]
