"""Addresses: numbers as people write them, LIDs, groups, and the JIDs that stand for them."""

import pytest

from ponton_bridge.model.address import Address, Kind, from_localpart, parse_number
from ponton_bridge.model.errors import OwnerError


@pytest.mark.parametrize(
    "text",
    [
        "+447700900123", "447700900123", "00447700900123", "+44 7700 900123", "+44 (0)7700 900-123", "+44.7700.900.123",
        "+44/7700/900123", " +44\u00a07700\u00a0900123\n", "(+44) 7700 900123", "+44 (7700) 900123",
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str) -> None:
    """Every way of writing an international number gives the same digits."""
    assert "447700900123" == parse_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "+", "alice", "07700900123", "1234", "+0447700900123", "++447700900123", "+44 7700 9OO123",
        "+1234567890123456", "+\u0664\u0664\u0667\u0667\u0660\u0660\u0669", "+44,7700900123",
        "447700900123;ext=5", "+44+7700900123",
    ],
)  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    """Anything else is refused with a sentence that shows how to write one."""
    with pytest.raises(OwnerError, match="plus sign"):
        parse_number(text)


@pytest.mark.parametrize(
    ("local", "address"),
    [
        ("+447700900123", Address(number="447700900123")),
        ("447700900123", Address(number="447700900123")),
        ("lid-123456789012345", Address(lid="123456789012345")),
        ("120363012345678901", Address(group="120363012345678901")),
        ("447700900123-1400000000", Address(group="447700900123-1400000000")),
        ("+447700900123456", Address(number="447700900123456")),
    ],
)
def test_localparts(local: str, address: Address) -> None:
    """A localpart stands for one address; a number without plus for the same contact."""
    assert address == from_localpart(local)


@pytest.mark.parametrize(
    "local", ["alice", "lid-", "lid-12x", "lid-1\n", "lid-" + "1" * 21, "+", "", "whatsapp", "١٢٣٤٥٦"]
)
def test_localparts_of_nobody(local: str) -> None:
    """A localpart that stands for nobody is refused."""
    with pytest.raises(OwnerError):
        from_localpart(local)


def test_keys_put_the_lid_first() -> None:
    """One person has one key: the LID's, as soon as it is known."""
    assert "5@lid" == Address(number="447700900123", lid="5").key
    assert "447700900123@s.whatsapp.net" == Address(number="447700900123").key
    assert "120363012345678901@g.us" == Address(group="120363012345678901").key


def test_localparts_put_the_number_first() -> None:
    """People know numbers: a LID shows only while there is no number."""
    assert "+447700900123" == Address(number="447700900123", lid="5").localpart()
    assert "lid-5" == Address(lid="5").localpart()


def test_kinds() -> None:
    """A group is told from a person."""
    assert Kind.GROUP is Address(group="120363012345678901").kind
    assert Kind.USER is Address(lid="5").kind
