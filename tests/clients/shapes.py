"""The stanzas whose looks are tried in the clients: pictures, corrections, retractions. Pure: text out.

Called by `stand_in` and the experiment. What each client does with them is in docs/adr/0001.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

# no-copy too, since each of the owner's clients gets a message of its own
NO_ARCHIVE = "".join(f"<{hint} xmlns='urn:xmpp:hints'/>" for hint in ("no-permanent-store", "no-store", "no-copy"))


@dataclass(frozen=True)
class Picture:
    """An uploaded PNG: `size` in bytes, `width` and `height` in pixels, `sha256` in base64."""

    url: str
    name: str
    size: int
    width: int
    height: int
    sha256: str


def message(sender: str, to: str, ident: str, *content: str, kind: str = "chat") -> str:
    """A message stanza around `content` (XML texts)."""
    head = f"<message from={quoteattr(sender)} to={quoteattr(to)} id={quoteattr(ident)} type={quoteattr(kind)}>"
    return head + "".join(content) + "</message>"


def body(text: str) -> str:
    """A plain body."""
    return f"<body>{escape(text)}</body>"


def replaces(ident: str) -> str:
    """XEP-0308: this message replaces the one that was first sent as `ident`."""
    return f"<replace xmlns='urn:xmpp:message-correct:0' id={quoteattr(ident)}/>"


def retracts(ident: str, fallback: str) -> str:
    """XEP-0424 with a body for clients that do not know it (XEP-0428 marks that body)."""
    return (
        f"<retract xmlns='urn:xmpp:message-retract:1' id={quoteattr(ident)}/>"
        f"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>{body(fallback)}"
    )


def roster_item(sender: str, owner: str, ident: str, jid: str, name: str, group: str = "") -> str:
    """XEP-0356: write one entry, subscribed both ways, into the owner's roster."""
    inside = f"<group>{escape(group)}</group>" if group else ""
    return (
        f"<iq type='set' from={quoteattr(sender)} to={quoteattr(owner)} id={quoteattr(ident)}>"
        "<query xmlns='jabber:iq:roster'>"
        f"<item jid={quoteattr(jid)} name={quoteattr(name)} subscription='both'>{inside}</item>"
        "</query></iq>"
    )


def _file(picture: Picture, namespace: str) -> str:
    return (
        f"<file xmlns='{namespace}'><media-type>image/png</media-type><name>{escape(picture.name)}</name>"
        f"<size>{picture.size}</size><width>{picture.width}</width><height>{picture.height}</height>"
        f"<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{picture.sha256}</hash></file>"
    )


def image(picture: Picture) -> str:
    """A picture for every client: body == OOB url (XEP-0066), SIMS (XEP-0385) and SFS (XEP-0447)."""
    url = picture.url
    return (
        f"{body(url)}<x xmlns='jabber:x:oob'><url>{escape(url)}</url></x>"
        f"<reference xmlns='urn:xmpp:reference:0' type='data' begin='0' end='{len(url)}' uri={quoteattr(url)}>"
        f"<media-sharing xmlns='urn:xmpp:sims:1'>{_file(picture, 'urn:xmpp:jingle:apps:file-transfer:5')}"
        f"<sources><reference xmlns='urn:xmpp:reference:0' type='data' uri={quoteattr(url)}/></sources>"
        "</media-sharing></reference>"
        f"<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'>{_file(picture, 'urn:xmpp:file:metadata:0')}"
        f"<sources><url-data xmlns='http://jabber.org/protocol/url-data' target={quoteattr(url)}/></sources>"
        "</file-sharing>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback>"
    )
