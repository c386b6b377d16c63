"""What a hostile client sends, a line each: name, stanza, outcome; `tests.harness.town.Case` says what stands for what.

Called by test_hostile_stanzas. The lines are tables, so they may be long.
"""
# ruff: noqa: E501 - one case is one line, however long its XML

from tests.harness.town import NOTHING, Case

REPLY = "<reply xmlns='urn:xmpp:reply:0' to='{{bob}}' id='nobody-knows'/>"
FALLBACK = "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='99999'/></fallback>"
MENTION = "<reference xmlns='urn:xmpp:reference:0' type='mention' begin='-1' end='999999' uri='xmpp:{{carol}}'/>"
TRAP = "http://{{trap}}/secret"
REFUSED = "error feature-not-implemented"
UNFIT = "error not-acceptable"
BAD = "error bad-request"
NO_SERVICE = "error service-unavailable"


DEEP = "<a>" * 30_000 + "</a>" * 30_000  # levels; Prosody takes 262,144 bytes


def chat(inner: str, to: str = "{{bob}}", more: str = "type='chat'") -> str:
    """Write a message to a contact."""
    return f"<message {more} id='{{{{id}}}}' to='{to}'>{inner}</message>"


def said(text: str, *more: str) -> str:
    """Write a message to a contact that says something."""
    return chat(f"<body>{text}</body>{''.join(more)}")


def iq(inner: str, to: str = "{{bob}}", kind: str = "get") -> str:
    """Write an iq."""
    return f"<iq type='{kind}' id='{{{{id}}}}' to='{to}'>{inner}</iq>"


def presence(inner: str, to: str = "{{bob}}", more: str = "") -> str:
    """Write a presence."""
    return f"<presence {more} id='{{{{id}}}}' to='{to}'>{inner}</presence>"


def oob(url: str) -> str:
    """Write a file as most clients do."""
    return f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"


TEXTS = [
    Case("a place", said("geo:48.2,16.4"), "delivered"),
    Case("a place as a reply", said("geo:48.2,16.4", REPLY), "delivered"),
    Case("a place as a reply with a fallback", said("&gt; x\ngeo:-48.2,-16.4", REPLY, FALLBACK), "delivered"),
    Case("a place that is none", said("geo:999,nan;u=inf", REPLY), "delivered"),
    Case("a place with a link", said(f"geo:1,2 {TRAP}", REPLY), "delivered"),
    Case("a place with a mention as a reply", said("geo:1,2 @carol", REPLY, MENTION), "delivered"),
    Case("a mention beyond the text", said("@carol", MENTION), "delivered"),
    Case("a reply without an id", said("x", "<reply xmlns='urn:xmpp:reply:0'/>"), "delivered"),
    Case("a reply to oneself", said("x", "<reply xmlns='urn:xmpp:reply:0' to='{{alice}}' id='{{id}}'/>"), "delivered"),
    Case("a fallback out of range", said("x", FALLBACK.replace("99999", "-7")), "delivered"),
    Case("a link", said(TRAP), "delivered"),
    Case("a hundred links", said(" ".join([TRAP] * 100)), "delivered"),
    Case("link data", said(TRAP, f"<Description xmlns='urn:xmpp:rdf' about='{TRAP}'/>"), "delivered"),
    Case("other ways to write the address", said("http://2130706433:80/ http://0x7f.1/ http://[::ffff:7f00:1]/"), "delivered"),
    Case("a local file", said("file:///etc/passwd"), "delivered"),
    Case("an encrypted file", said("aesgcm://{{trap}}/f#00ff"), "delivered"),
    Case("a file on an internal page", said(TRAP, oob(TRAP)), REFUSED),
    Case("a file without a body", chat(oob(TRAP)), REFUSED),
    Case("a local file as a file", said("x", oob("file:///etc/passwd")), REFUSED),
    Case("a shared file", said("x", f"<file-sharing xmlns='urn:xmpp:sfs:0'><sources><url-data xmlns='u' target='{TRAP}'/></sources></file-sharing>"), REFUSED),
    Case("a sticker", said("x", "<sticker xmlns='urn:xmpp:stickers:0' pack='p'/>"), REFUSED),
    Case("white space", said(" \t\n\u2003"), UNFIT),
    Case("an empty body", said(""), UNFIT),
    Case("a subject alone", chat("<subject>x</subject>"), UNFIT),
    Case("as long as WhatsApp takes", said("x" * 65_536), "delivered"),
    Case("one letter more", said("x" * 65_537), BAD),
    Case("a hundred thousand letters", said("x" * 100_000), BAD),
    Case("fifty thousand faces", said("\U0001f600" * 50_000), "delivered"),
    Case("a long subject with a long text", chat(f"<subject>{'s' * 40_000}</subject><body>{'b' * 40_000}</body>"), BAD),
    Case("returns and line separators", said("a&#13;&#13;&#10;b\u2028c\u2029d\u0085e"), "delivered"),
    Case("turned around", said("\u202egnp.exe\u202c\u2066\u200f"), "delivered"),
    Case("a thousand marks on one letter", said("e" + "\u0301" * 1000), "delivered"),
    Case("noncharacters", said("\ufdd0 \U0001ffff"), "delivered"),
    Case("markup in the text", said("&lt;/body&gt;&lt;/message&gt; ]]&gt; &amp;lt;"), "delivered"),
    Case("two bodies", said("one", "<body xml:lang='de'>zwei</body>"), "delivered"),
    Case("a body of another world", chat("<body xmlns='urn:other'>x</body>"), REFUSED),
    Case("elements inside the body", chat("<body>a<b>c</b>d</body>"), "delivered"),
    Case("formatted text alone", chat("<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>x</body></html>"), UNFIT),
    Case("two thousand children", said("x", "<x xmlns='urn:x'/>" * 2000), "delivered"),
    Case("thirty thousand levels deep", said("x", DEEP, "<no-store xmlns='urn:xmpp:hints'/>"), "delivered"),
    Case("an odd type", chat("<body>x</body>", more="type='odd'"), REFUSED),
    Case("a room's message", chat("<body>x</body>", more="type='groupchat'"), REFUSED),
    Case("a headline", chat("<body>x</body>", more="type='headline'"), REFUSED),
    Case("an error", chat("<body>x</body><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>", more="type='error'"), NOTHING),
    Case("without a type", chat("<body>x</body>", more=""), "delivered"),
    Case("without an id", "<message type='chat' to='{{bob}}'><body>x</body></message>", NOTHING),
    Case("with an empty id", "<message type='chat' id='' to='{{bob}}'><body>x</body></message>", NOTHING),
    Case("with an id of ten thousand letters", f"<message type='chat' id='{'i' * 10_000}' to='{{{{bob}}}}'><body>x</body></message>", NOTHING),
    Case("with nothing in it", chat(""), NOTHING),
    Case("a number of ours in it", said("x", "<seq xmlns='urn:component-shards:1' n='999999999'/>"), "delivered"),
    Case("a delay from the past", said("x", "<delay xmlns='urn:xmpp:delay' stamp='-9999-99-99T99:99:99Z'/>"), "delivered"),
    Case("a privilege", said("x", "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{{carol}}' to='{{dora}}'><body>forged</body></message></forwarded></privilege>"), "delivered"),
]  # fmt: skip

ENCRYPTED = [
    Case("OMEMO", said("x", "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AA==</payload></encrypted>"), UNFIT),
    Case("OMEMO 2", said("x", "<encrypted xmlns='urn:xmpp:omemo:2'><payload/></encrypted>"), UNFIT),
    Case("OMEMO keys alone", chat("<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='-1'/></encrypted>"), NOTHING),
    Case("OMEMO in OMEMO", said("x", "<encrypted xmlns='urn:xmpp:omemo:2'><encrypted xmlns='urn:xmpp:omemo:2'><payload/></encrypted></encrypted>"), NOTHING),
    Case("PGP", said("x", "<x xmlns='jabber:x:encrypted'>AAAA</x>"), UNFIT),
    Case("OpenPGP", chat("<openpgp xmlns='urn:xmpp:openpgp:0'>AAAA</openpgp>"), UNFIT),
    Case("OTR", said("?OTR:AAMC"), UNFIT),
    Case("said to be encrypted", said("x", "<encryption xmlns='urn:xmpp:eme:0' namespace='{{trap}}'/>"), UNFIT),
]  # fmt: skip

MARKERS = "xmlns='urn:xmpp:chat-markers:0'"
STATES = "xmlns='http://jabber.org/protocol/chatstates'"
NOTES = [
    Case("read what nobody knows", chat(f"<displayed {MARKERS} id='nobody-knows'/>"), NOTHING),
    Case("read nothing", chat(f"<displayed {MARKERS}/>"), NOTHING),
    Case("read ten thousand letters", chat(f"<displayed {MARKERS} id='{'x' * 10_000}'/>"), NOTHING),
    Case("read a pattern", chat(f"<displayed {MARKERS} id=\"%' OR 1=1 --\"/>"), NOTHING),
    Case("read and acknowledged", chat(f"<acknowledged {MARKERS} id='x'/><displayed {MARKERS} id='y'/>"), NOTHING),
    Case("read and said", said("x", f"<displayed {MARKERS} id='nobody-knows'/>"), "delivered"),
    Case("an unknown marker", chat(f"<eaten {MARKERS} id='x'/>"), REFUSED),
    Case("received what nobody knows", chat("<received xmlns='urn:xmpp:receipts' id='nobody-knows'/>"), NOTHING),
    Case("received without an id", chat("<received xmlns='urn:xmpp:receipts'/>"), NOTHING),
    Case("a receipt that asks for one", chat("<received xmlns='urn:xmpp:receipts' id='x'/><request xmlns='urn:xmpp:receipts'/>"), NOTHING),
    Case("all chat states at once", chat("".join(f"<{s} {STATES}/>" for s in ("active", "composing", "paused", "inactive", "gone"))), NOTHING),
    Case("a state that is none", chat(f"<flying {STATES}/>"), REFUSED),
    Case("a state with a life of its own", chat(f"<composing {STATES} media='video'><x/></composing>"), NOTHING),
    Case("a correction of nothing", said("x", "<replace xmlns='urn:xmpp:message-correct:0' id='nobody-knows'/>"), BAD),
    Case("a correction without an id", said("x", "<replace xmlns='urn:xmpp:message-correct:0'/>"), BAD),
    Case("a correction of itself", said("x", "<replace xmlns='urn:xmpp:message-correct:0' id='{{id}}'/>"), BAD),
    Case("a correction of another's", said("x", "<replace xmlns='urn:xmpp:message-correct:0' id='{{heard}}'/>"), BAD),
    Case("a retraction", chat("<retract xmlns='urn:xmpp:message-retract:1' id='nobody-knows'/>"), REFUSED),
    Case("a reaction", chat("<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>x</reaction></reactions>"), REFUSED),
    Case("a call", chat("<propose xmlns='urn:xmpp:jingle-message:0' id='x'/>"), REFUSED),
    Case("the end of a call", chat("<retract xmlns='urn:xmpp:jingle-message:0' id='x'/>"), NOTHING),
    Case("an invitation", chat("<x xmlns='jabber:x:conference' jid='room@{{host}}'/>"), REFUSED),
    Case("a nudge", chat("<attention xmlns='urn:xmpp:attention:0'/>"), REFUSED),
    Case("an event of somebody's", chat("<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='x'/></event>"), NOTHING),
    Case("a carbon", chat("<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded></sent>"), REFUSED),
    Case("moderation", chat("<apply-to xmlns='urn:xmpp:fasten:0' id='x'><moderate xmlns='urn:xmpp:message-moderate:0'/></apply-to>"), REFUSED),
    Case("hints alone", chat("<store xmlns='urn:xmpp:hints'/>"), NOTHING),
]  # fmt: skip


ADDRESSES = [
    Case("nobody's number", chat("<body>x</body>", "+15550199999@{{gateway}}"), "error item-not-found"),
    Case("a number too long", chat("<body>x</body>", "+1234567890123456@{{gateway}}"), BAD),
    Case("a number too short", chat("<body>x</body>", "+123@{{gateway}}"), BAD),
    Case("a leading zero", chat("<body>x</body>", "+0123456789@{{gateway}}"), BAD),
    Case("a name", chat("<body>x</body>", "bob@{{gateway}}"), BAD),
    Case("an escaped name", chat("<body>x</body>", "b\\40b@{{gateway}}"), BAD),
    Case("a pattern", chat("<body>x</body>", "%25_;drop@{{gateway}}"), BAD),
    Case("the longest name", chat("<body>x</body>", "9" * 1023 + "@{{gateway}}"), BAD),
    Case("a hidden id of nobody", chat("<body>x</body>", "lid-1@{{gateway}}"), UNFIT),
    Case("a hidden id too long", chat("<body>x</body>", f"lid-{'1' * 21}@{{{{gateway}}}}"), BAD),
    Case("a hidden id without digits", chat("<body>x</body>", "lid-@{{gateway}}"), BAD),
    Case("a group", chat("<body>x</body>", "120363001122334455@{{gateway}}"), REFUSED),
    Case("an old group", chat("<body>x</body>", "4915100000001-1400000000@{{gateway}}"), REFUSED),
    Case("a status", chat("<body>x</body>", "status@{{gateway}}"), BAD),
    Case("without the plus", chat("<body>x</body>", "{{plain}}"), "delivered"),
    Case("wide digits", chat("<body>x</body>", "{{wide}}"), "delivered"),
    Case("in capitals", chat("<body>x</body>", "{{capitals}}"), "delivered"),
    Case("with a resource of a kilobyte", chat("<body>x</body>", "{{bob}}/" + "r" * 1000), "delivered"),
    Case("oneself", chat("<body>to myself</body>", "{{alice-phone}}"), NOTHING),
]  # fmt: skip

INFO, ITEMS = "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items"
IQS = [
    Case("an unknown question", iq("<query xmlns='urn:nobody'/>"), NO_SERVICE),
    Case("a set", iq("<query xmlns='urn:nobody'/>", kind="set"), NO_SERVICE),
    Case("no question", iq(""), BAD),
    Case("a text instead", iq("x"), BAD),
    Case("two questions", iq("<ping xmlns='urn:xmpp:ping'/><query xmlns='urn:nobody'/>"), BAD),
    Case("a kind that is none", iq("<ping xmlns='urn:xmpp:ping'/>", kind="shout"), BAD),
    Case("a result for nobody", iq("", kind="result"), NOTHING),
    Case("an error for nobody", iq("<error type='cancel'/>", kind="error"), NOTHING),
    Case("a node that is not there", iq(f"<query xmlns='{INFO}' node='../../etc/passwd'/>"), "error item-not-found"),
    Case("a node of ten thousand letters", iq(f"<query xmlns='{INFO}' node='{'n' * 10_000}'/>"), "error item-not-found"),
    Case("items of a node", iq(f"<query xmlns='{ITEMS}' node='x'/>"), "result"),
    Case("a card to write", iq("<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>http://{{trap}}/p</EXTVAL></PHOTO></vCard>", kind="set"), NO_SERVICE),
    Case("a card to read", iq("<vCard xmlns='vcard-temp'/>"), "result"),
    Case("a card of nobody", iq("<vCard xmlns='vcard-temp'/>", "nobody@{{gateway}}"), BAD),
    Case("an archive", iq("<query xmlns='urn:xmpp:mam:2'/>", kind="set"), NO_SERVICE),
    Case("a call", iq("<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='x'/>", kind="set"), NO_SERVICE),
    Case("bytes in band", iq("<open xmlns='http://jabber.org/protocol/ibb' sid='x' block-size='65535'/>", kind="set"), NO_SERVICE),
    Case("a register at a contact", iq("<query xmlns='jabber:iq:register'><remove/></query>", kind="set"), NO_SERVICE),
    Case("a command at a contact", iq("<command xmlns='http://jabber.org/protocol/commands' node='delete' action='execute'/>", kind="set"), NO_SERVICE),
    Case("a roster at a contact", iq("<query xmlns='jabber:iq:roster'><item jid='{{carol}}' subscription='remove'/></query>", kind="set"), "error forbidden"),
    Case("a picture by its hash", iq("<data xmlns='urn:xmpp:bob' cid='sha1+0@bob.xmpp.org'/>"), NO_SERVICE),
    Case("an upload at a contact", iq("<request xmlns='urn:xmpp:http:upload:0' filename='x' size='1'/>"), NO_SERVICE),
    Case("a hundred thousand letters", iq(f"<query xmlns='urn:nobody'>{'x' * 100_000}</query>"), NO_SERVICE),
    Case("thirty thousand levels", iq(DEEP), NO_SERVICE),
    Case("a room's members", iq("<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner'/></query>", "120363001122334455@{{gateway}}"), NO_SERVICE),
    Case("a room's info", iq(f"<query xmlns='{INFO}'/>", "120363001122334455@{{gateway}}"), NO_SERVICE),
    Case("privileged from a client", iq("<privileged_iq xmlns='urn:xmpp:privilege:2'><iq xmlns='jabber:client' type='get' from='{{carol}}'><query xmlns='jabber:iq:roster'/></iq></privileged_iq>", "{{host}}"), NO_SERVICE),
    Case("the front desk's control from a client", iq("<assign xmlns='urn:component-shards:1' owner='{{carol}}' epoch='9'/>", "{{gateway}}", "set"), NO_SERVICE),
]  # fmt: skip

PRESENCES = [
    Case("a wish to see nobody", presence("", "nobody@{{gateway}}", "type='subscribe'"), NOTHING),
    Case("a wish to see a group", presence("", "120363001122334455@{{gateway}}", "type='subscribe'"), NOTHING),
    Case("a wish with a text of fifty thousand letters", presence(f"<status>{'s' * 50_000}</status>", more="type='subscribe'"), NOTHING),
    Case("a permission that nobody asked for", presence("", "+15550199998@{{gateway}}", "type='subscribed'"), NOTHING),
    Case("a farewell to a stranger", presence("", "+15550199998@{{gateway}}", "type='unsubscribe'"), NOTHING),
    Case("a probe from a client", presence("", more="type='probe'"), NOTHING),
    Case("a kind that is none", presence("", more="type='flying'"), BAD),
    Case("an error", presence("<error type='cancel'/>", more="type='error'"), NOTHING),
    Case("into a room", presence("<x xmlns='http://jabber.org/protocol/muc'/>", "120363001122334455@{{gateway}}/a"), REFUSED),
    Case("into a room that is nobody", presence("<x xmlns='http://jabber.org/protocol/muc'/>", "nobody@{{gateway}}/a"), REFUSED),
    Case("a show that is none", presence("<show>flying</show>", "{{gateway}}"), NOTHING),
    Case("a priority that is none", presence("<priority>NaN</priority>", "{{gateway}}"), NOTHING),
    Case("a priority out of range", presence("<priority>99999999999999999999</priority>", "{{gateway}}"), NOTHING),
    Case("a photo elsewhere", presence("<x xmlns='vcard-temp:x:update'><photo>http://{{trap}}/p</photo></x>"), NOTHING),
    Case("caps elsewhere", presence("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://{{trap}}/' ver='x'/>"), NOTHING),
]  # fmt: skip


NOBODY = "error registration-required"
REGISTER = "<query xmlns='jabber:iq:register'>"


def form(inner: str, kind: str = "submit") -> str:
    """Write a data form."""
    return f"<x xmlns='jabber:x:data' type='{kind}'>{inner}</x>"


def register(inner: str, kind: str = "set") -> str:
    """Write a registration."""
    return iq(f"{REGISTER}{inner}</query>", "{{gateway}}", kind)


def command(attributes: str, inner: str = "", kind: str = "set") -> str:
    """Write an ad-hoc command."""
    return iq(
        f"<command xmlns='http://jabber.org/protocol/commands' {attributes}>{inner}</command>", "{{gateway}}", kind
    )


REGISTRATIONS = [
    Case("to ask", register("", "get"), "result"),
    Case("to ask with everything filled in", register("<phone>x</phone><remove/><registered/>", "get"), "result"),
    Case("a number that is none", register("<phone>0800 REALLY</phone>"), BAD),
    Case("a number of fifty thousand digits", register(f"<phone>{'1' * 50_000}</phone>"), BAD),
    Case("wide digits with a letter", register("<phone>\uff0b\uff13x</phone>"), BAD),
    Case("a number in a form", register(form("<field var='phone'><value>&lt;script&gt;</value></field>")), BAD),
    Case("a form of ten thousand fields", register(form("<field var='phone'><value>+</value></field>" * 2000)), BAD),
    Case("a form in a form", register(form(form("<field var='phone'><value>+1</value></field>") + "<field var='phone'><value>+2</value></field>")), BAD),
    Case("a removal of nothing", register("<remove/>"), BAD),
    Case("a removal with a name", register("<username>carol</username><remove/>"), BAD),
    Case("two at once", iq(f"{REGISTER}</query>{REGISTER}</query>", "{{gateway}}", "set"), BAD),
    Case("none at all", iq("", "{{gateway}}", "set"), BAD),
    Case("at a number that nobody has", iq(f"{REGISTER}</query>", "+15550199999@{{gateway}}", "set"), NOBODY),
    Case("of a kind that is none", register("", "put"), BAD),
]  # fmt: skip

COMMANDS = [
    Case("nothing named", command(""), "error item-not-found"),
    Case("an unknown name", command("node='rm -rf' action='execute'"), "error item-not-found"),
    Case("an unknown action", command("node='status' action='explode'"), BAD),
    Case("to cancel what was not begun", command("node='delete' action='cancel' sessionid='x'"), "result"),
    Case("a session of ten thousand letters", command(f"node='help' sessionid='{'s' * 10_000}'"), "result"),
    Case("to delete what is not there", command("node='delete' action='complete'", form("<field var='sure'><value>1</value></field>")), BAD),
    Case("to unlink what is not there", command("node='unlink' action='complete'", form("<field var='sure'><value>true</value></field>")), BAD),
    Case("to delete without a yes", command("node='delete' action='complete'", form("<field var='sure'><value>maybe</value></field>")), "result"),
    Case("a code for nobody", command("node='code'"), BAD),
    Case("a pairing for nobody", command("node='pair' action='complete'", form("<field var='phone'><value>+447700900123</value></field>")), BAD),
    Case("a value of a hundred thousand letters", command("node='pair' action='complete'", form(f"<field var='phone'><value>{'9' * 100_000}</value></field>")), BAD),
    Case("fields without names", command("node='pair' action='complete'", form("<field/><field var=''/><field var='phone'/>")), BAD),
    Case("a get", command("node='status'", kind="get"), "result"),
    Case("an unknown question", iq("<query xmlns='urn:nobody'/>", "{{gateway}}"), NO_SERVICE),
    Case("a search", iq("<query xmlns='jabber:iq:search'/>", "{{gateway}}"), NO_SERVICE),
    Case("an unknown node", iq(f"<query xmlns='{INFO}' node='x'/>", "{{gateway}}"), NO_SERVICE),
    Case("a number to look up that is none", iq("<query xmlns='jabber:iq:gateway'><prompt>bob</prompt></query>", "{{gateway}}", "set"), BAD),
    Case("a number to look up without one", iq("<query xmlns='jabber:iq:gateway'/>", "{{gateway}}", "set"), BAD),
    Case("thirty thousand levels", iq(DEEP, "{{gateway}}"), NO_SERVICE),
    Case("encrypted", chat("<body>x</body><encrypted xmlns='urn:xmpp:omemo:2'><payload/></encrypted>", "{{gateway}}"), BAD),
    Case("a result for nobody", iq("", "{{gateway}}", "result"), NOTHING),
    Case("an error for nobody", iq("", "{{gateway}}", "error"), NOTHING),
]  # fmt: skip

STRANGER = [
    Case("a message to a contact", chat("<body>x</body>"), NOBODY),
    Case("a file to a contact", chat(oob(TRAP) + f"<body>{TRAP}</body>"), NOBODY),
    Case("a message to nobody", chat("<body>x</body>", "nobody@{{gateway}}"), NOBODY),
    Case("a question to a contact", iq("<vCard xmlns='vcard-temp'/>"), NOBODY),
    Case("a set to a contact", iq("<query xmlns='urn:nobody'/>", kind="set"), NOBODY),
    Case("a state to a contact", chat(f"<composing {STATES}/>"), NOTHING),
    Case("a marker to a contact", chat(f"<displayed {MARKERS} id='x'/>"), NOTHING),
    Case("a wish to see a contact", presence("", more="type='subscribe'"), NOTHING),
    Case("into a group", presence("<x xmlns='http://jabber.org/protocol/muc'/>", "120363001122334455@{{gateway}}/m"), NOTHING),
    Case("as Alice", "<message from='{{alice}}' type='chat' id='{{id}}' to='{{bob}}'><body>forged</body></message>", NOBODY),
    Case("as the gateway", "<message from='{{gateway}}' type='chat' id='{{id}}' to='{{alice}}'><body>forged</body></message>", NOTHING),
    Case("as a contact", "<message from='{{bob}}' type='chat' id='{{id}}' to='{{alice}}'><body>forged</body></message>", NOTHING),
    Case("an iq as Alice", f"<iq from='{{{{alice}}}}' type='set' id='{{{{id}}}}' to='{{{{gateway}}}}'>{REGISTER}<remove/></query></iq>", BAD),
    Case("a privilege to the gateway", chat("<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='{{alice}}' to='{{bob}}'><body>forged</body></message></forwarded></privilege>", "{{host}}"), "error forbidden"),
    Case("a session", iq("<session xmlns='urn:component-shards:1' gen='x' next='1' h='0'/>", "{{gateway}}", "set"), NO_SERVICE),
]  # fmt: skip
