"""Data forms (XEP-0004) as the front desk needs them: a few fields out, a few values in."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ponton_bridge.model import xml
from ponton_bridge.model.xml import el

MAX_VALUE = 200  # characters that anybody may type into one of our fields: a number, a yes


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `kind` after XEP-0004 section 3.3."""

    var: str
    label: str
    kind: str = "text-single"
    value: str = ""
    required: bool = False
    options: tuple[tuple[str, str], ...] = ()  # value and label, of a list


def form(title: str, instructions: str, fields: Sequence[Field] = (), kind: str = "form") -> Element:
    """Make a form; vital text stands in the instructions, which every client shows."""
    made = el("x", xml.DATA, el("title", xml.DATA, title), el("instructions", xml.DATA, instructions), type_=kind)
    for field in fields:
        parts = [el("required", xml.DATA)] if field.required else []
        parts += [el("value", xml.DATA, field.value)] if field.value else []
        for value, label in field.options:
            parts.append(el("option", xml.DATA, el("value", xml.DATA, value), label=label))
        made.append(el("field", xml.DATA, *parts, var=field.var, type_=field.kind, label=field.label))
    return made


def values(parent: Element, most: int = MAX_VALUE) -> dict[str, str]:
    """Read the submitted values of the form in `parent`: first value of each field, cut to a bounded length."""
    found: dict[str, str] = {}
    submitted = xml.find(parent, "x", xml.DATA)
    for field in () if submitted is None else submitted.findall(f"{{{xml.DATA}}}field"):
        value = xml.text_of(field, "value", xml.DATA)
        if value is not None and (var := field.get("var")):
            found[var] = value.strip()[:most]
    return found


def is_yes(value: str) -> bool:
    """Read a boolean field: '1' and 'true' are yes (XEP-0004, 3.3)."""
    return value in {"1", "true"}
