"""Addresses and owner JIDs under anything that somebody may write."""

from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.model.address import Address, from_localpart, parse_number
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.jid import host_of, prepare_bare

DIGITS = "0123456789"
NUMBERS = st.from_regex(r"[1-9][0-9]{4,14}", fullmatch=True)
ADDRESSES = st.one_of(
    NUMBERS.map(lambda number: Address(number=number)),
    st.text(DIGITS, min_size=1, max_size=20).map(lambda lid: Address(lid=lid)),
    st.from_regex(r"[0-9]{16,25}", fullmatch=True).map(lambda group: Address(group=group)),
    st.from_regex(r"[0-9]{10,15}-[0-9]{6,15}", fullmatch=True).map(lambda group: Address(group=group)),
)


@given(ADDRESSES)
def test_there_and_back(address: Address) -> None:
    """The JID of an address stands for that address."""
    assert address == from_localpart(address.localpart())


@given(ADDRESSES, ADDRESSES)
def test_no_two_share_a_name(one: Address, other: Address) -> None:
    """Different addresses have different localparts and different keys."""
    if one != other:
        assert one.localpart() != other.localpart()
        assert one.key != other.key


@given(NUMBERS, st.lists(st.sampled_from([" ", "-", ".", "/", "(", ")", "\u00a0", "\t"]), max_size=12), st.randoms())
def test_separators_do_not_matter(number: str, separators: list[str], random: "st.random.Random") -> None:  # type: ignore[name-defined]  # hypothesis' own
    """Whatever people put between digits, the number is the same."""
    written = list(number)
    for separator in separators:
        written.insert(random.randint(0, len(written)), separator)
    text = "+" + "".join(written)
    if "(0)" not in text:
        assert number == parse_number(text)


@given(st.text())
def test_any_localpart(text: str) -> None:
    """Any text is an address or a sentence for the owner, never another error, and what is accepted is canonical."""
    try:
        address = from_localpart(text)
    except OwnerError:
        return
    assert address == from_localpart(address.localpart())
    assert all(part is None or set(part) <= set(DIGITS + "-") for part in (address.number, address.lid, address.group))


@given(st.one_of(st.text(), st.tuples(st.text(), st.text()).map("@".join)))
def test_any_owner(text: str) -> None:
    """Any text is an owner or a sentence; the prepared form is prepared, bare, and has one host."""
    try:
        owner = prepare_bare(text)
    except OwnerError:
        return
    assert owner == prepare_bare(owner)
    assert 1 == owner.count("@")
    assert "/" not in owner
    assert host_of(owner) == owner.partition("@")[2]
