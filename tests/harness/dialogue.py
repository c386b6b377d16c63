"""Dialogues in XML literals: read one as clients would write it, compare two without caring for order of attributes."""

from xml.etree.ElementTree import Element, canonicalize, fromstring, tostring


def stanza(literal: str) -> Element:
    """Read a stanza written without a namespace of its own; it is in jabber:client then."""
    return fromstring(f"<wrap xmlns='jabber:client'>{literal}</wrap>")[0]  # noqa: S314 - literals of our own tests


def plain(element: Element) -> str:
    """Give the canonical text of a stanza, for comparing: attributes sorted, prefixes normalised, blanks cut."""
    return canonicalize(tostring(element, encoding="unicode"), strip_text=True, rewrite_prefixes=True)


def plains(elements: list[Element]) -> list[str]:
    """Give the canonical texts of several stanzas."""
    return [plain(element) for element in elements]
