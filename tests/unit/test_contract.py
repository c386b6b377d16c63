"""The Redis contract: names that confine, and values that survive their way as text."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.coordination import contract
from ponton_bridge.coordination.contract import Command, Flat, Heartbeat, Keys, LiveCode, Result, StateChange, Verb

VALUES = (Command, Heartbeat, LiveCode, Result, StateChange)


def test_an_account_has_a_room_of_its_own() -> None:
    """Every name of an account begins with its prefix, and no other account's does."""
    keys = Keys("gw", "acc-1")
    own = [keys.fence, keys.lease, keys.heartbeat, keys.day, keys.commands, keys.result("x"), keys.code, keys.state]
    assert len(set(own)) == len(own)
    assert all(name.startswith(keys.prefix) for name in own)
    for other in (Keys("gw", "acc-11"), Keys("gw", "acc"), Keys("gw2", "acc-1"), Keys("gw", "")):
        assert not any(name.startswith(other.prefix) for name in own)


def test_states_are_the_gateways() -> None:
    """The stream of states is one for the gateway, outside every account's room."""
    assert Keys("gw", "acc-1").states == Keys("gw", "acc-2").states == Keys("gw", "").states
    assert not Keys("gw", "acc-1").states.startswith(Keys("gw", "acc-1").prefix)
    assert Keys("gw", "acc-1").states != Keys("gw2", "acc-1").states


@pytest.mark.parametrize(
    "name", ["*", "a*", "a?c", "[a]", "a:b", "A", "a b", "a\n", "-a", "a-", "\u00e4", "a" * 254, ".."]
)
def test_a_pattern_is_no_name(name: str) -> None:
    """What could reach into another's room is refused, as gateway and as account."""
    with pytest.raises(ValueError, match="name of a resource"):
        Keys("gw", name)
    with pytest.raises(ValueError, match="name of a resource"):
        Keys(name, "acc")


def test_a_gateway_has_a_name() -> None:
    """Only the account may be left open."""
    with pytest.raises(ValueError, match="name of a resource"):
        Keys("", "acc")


@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
def test_values_survive(kind: type[Flat], data: st.DataObject) -> None:
    """A value is the same after its way through a hash, a stream or a string."""
    text = st.text(st.characters(exclude_categories=["Cs"]))
    strategies = {int: st.integers(), float: st.floats(allow_nan=False), str: text}
    value = kind(**{f.name: data.draw(strategies[f.type]) for f in dataclasses.fields(kind)})  # type: ignore[index]  # scalars only
    assert value == kind.from_redis(value.to_redis())
    assert value == kind.from_json(value.to_json())
    assert all(isinstance(part, str) for part in value.to_redis().values())


def test_unknown_fields_are_passed_over() -> None:
    """A newer shard's field does not stop an older reader, and a missing optional one has its default."""
    raw = {"epoch": "3", "instance": "i", "time": "1.5", "invented": "later"}
    assert Heartbeat(epoch=3, instance="i", time=1.5) == Heartbeat.from_redis(raw)


@pytest.mark.parametrize("raw", [{}, {"epoch": "3"}, {"epoch": "x", "instance": "i", "time": "1"}])
def test_what_cannot_be_read(raw: dict[str, str]) -> None:
    """A value that lacks a field, or holds something else in it, is a ValueError and nothing worse."""
    with pytest.raises(ValueError, match=r"lacks a field|invalid literal"):
        Heartbeat.from_redis(raw)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "3", "null", '{"id": 1}', '{"id": {"a": 1}}', '{"id": "x"}'])
def test_json_that_cannot_be_read(text: str) -> None:
    """The same for the form in one string."""
    with pytest.raises(ValueError):  # noqa: PT011  # json's own words vary
        Result.from_json(text)


def test_times_fit_together() -> None:
    """A lease outlives two missed renewals, a heartbeat outlives its lease."""
    assert contract.LEASE_RENEW * 3 <= contract.LEASE_TTL
    assert contract.LEASE_TTL < contract.HEARTBEAT_TTL


def test_verbs_are_distinct() -> None:
    """Each thing that a door may ask has its own word."""
    verbs = [value for name, value in vars(Verb).items() if name.isupper()]
    assert len(verbs) == len(set(verbs)) == 10
