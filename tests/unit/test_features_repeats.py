"""What makes two messages of the owner the same one."""

from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.features.repeats import marks
from ponton_bridge.model import xml
from ponton_bridge.model.xml import el

TO = "+4915112345678@wa.example.test"


def said(body: str | None = "hello", *, id_: str | None = "i1", origin: str | None = "o1", to: str = TO) -> Element:
    """Make a message; None leaves the part out."""
    parts = [el("body", xml.CLIENT, body)] if body is not None else []
    parts += [el("origin-id", xml.SID, id_=origin)] if origin is not None else []
    return el("message", xml.CLIENT, *parts, to=to, id_=id_, type_="chat")


@pytest.mark.parametrize(
    ("again", "same"),
    [
        (said(), True),
        (said(id_="i2"), True),  # a client that makes a new stanza of it keeps the origin id
        (said(origin=None), True),
        (said(to=TO + "/phone"), True),
        (said("hello!"), False),  # a client that counts its ids from 1 again
        (said(to="+4915112345679@wa.example.test"), False),
        (said(id_="i2", origin="o2"), False),
        (said(None), False),
        (said(id_=None, origin=None), False),
        (said(id_="", origin=""), False),
    ],
)
def test_knows_a_repeat(again: Element, same: bool) -> None:  # noqa: FBT001 - a table's column
    """A repeat has the address, the body, and one of the two ids of the first."""
    assert same == (not set(marks(said())).isdisjoint(marks(again)))


def test_an_id_counts_once() -> None:
    """The usual client has one id for both, and so one mark."""
    assert 1 == len(marks(said(id_="x", origin="x")))


def test_parts_do_not_run_into_each_other() -> None:
    """An id that ends as another message's address begins is another message."""
    assert set(marks(said("b", id_="a", origin=None, to="c@d"))).isdisjoint(
        marks(said("b", id_="ac", origin=None, to="@d"))
    )


def test_says_nothing_of_the_content() -> None:
    """A mark is a digest of fixed length."""
    assert {32} == {len(mark) for body in ("a", "b" * 1000) for mark in marks(said(body))}
