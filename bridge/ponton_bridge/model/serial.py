"""Stanza trees to text and back, for the wire and for the journal.

Written by hand because ElementTree's own writer needs invented prefixes, and because characters that XML cannot carry
(WhatsApp sends what people paste) must not end a stream or make a journal row unreadable. Used by features' callers,
the shard stream and the store's users.
"""

import re
from xml.etree.ElementTree import Element, fromstring

_XML = "http://www.w3.org/XML/1998/namespace"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_TEXT = {c: _NAMED[c] for c in "&<>\r"}  # a bare CR would come back as LF (XML 1.0, section 2.11)
_PLAIN = re.compile("[\u0020!#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")  # needs no escape anywhere


def escape(text: str, *, attribute: bool = False) -> str:
    """Write text for XML; what XML cannot carry becomes U+FFFD."""
    if _PLAIN.fullmatch(text):  # nearly all texts, and a tenth of the time
        return text
    named = _NAMED if attribute else _TEXT
    return "".join(named.get(c, c) for c in _NOT_XML.sub("\ufffd", text))


def dump(node: Element, outer: str = "") -> str:
    """Write a tree; `outer` is the default namespace in force around it.

    >>> from ponton_bridge.model.xml import CLIENT, el
    >>> dump(el("message", CLIENT, el("body", CLIENT, "a<b"), to="x@y"))
    '<message xmlns="jabber:client" to="x@y"><body>a&lt;b</body></message>'
    """
    parts: list[str] = []
    left: list[str | tuple[Element, str]] = [(node, outer)]
    while left:  # not recursive: a client's stanza may be deeper than Python's stack
        item = left.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        each, around = item
        ns, name = split(each.tag)
        opening = _opening(each, ns, name, around)
        if not len(each) and not each.text:
            parts.append(opening + "/>")
            continue
        parts.extend((opening, ">", escape(each.text or "")))
        left.append(f"</{name}>")
        for child in reversed(each):
            left.extend((escape(child.tail or ""), (child, ns)))
    return "".join(parts)


def _opening(node: Element, ns: str, name: str, outer: str) -> str:
    head = [name] if ns == outer else [name, f'xmlns="{escape(ns, attribute=True)}"']
    prefixes: dict[str, str] = {_XML: "xml"}
    for key, value in node.items():
        space, local = split(key)
        if space and space not in prefixes:
            prefixes[space] = f"p{len(prefixes)}"
            head.append(f'xmlns:{prefixes[space]}="{escape(space, attribute=True)}"')
        head.append(f'{prefixes[space] + ":" if space else ""}{local}="{escape(value, attribute=True)}"')
    return f"<{' '.join(head)}"


def load(text: str) -> Element:
    """Read what `dump` wrote; xml.etree.ElementTree.ParseError when it is something else."""
    return fromstring(text)  # noqa: S314 - only our own journal's rows are read with it


def split(tag: str) -> tuple[str, str]:
    """Take `{namespace}name` apart; the namespace is '' if there is none."""
    space, _, name = tag.rpartition("}")
    return space.removeprefix("{"), name


def moved(node: Element, old: str, new: str) -> Element:
    """Give a copy in which the stanza itself is in namespace `new` instead of `old`.

    Children follow as long as they are in `old` and so is what is around them: the `jabber:client` message inside a
    `<forwarded/>` stays what it is (XEP-0356 needs it so). All else is shared, not copied.
    """
    prefix = f"{{{old}}}"
    if not node.tag.startswith(prefix):
        return node
    whole = _renamed(node, new)
    left = [(node, whole)]
    while left:
        source, copy = left.pop()
        for child in source:
            ours = child.tag.startswith(prefix)
            twin = _renamed(child, new) if ours else child
            copy.append(twin)
            if ours:
                left.append((child, twin))
    return whole


def _renamed(node: Element, ns: str) -> Element:
    copy = Element(f"{{{ns}}}{split(node.tag)[1]}", node.attrib)
    copy.text, copy.tail = node.text, node.tail
    return copy
