"""Whatever a login server says: an address that is prepared and stays on its server, or a sentence."""

from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.selfservice.claims import NoAddress, NotVerified, find, identify
from tests.unit.test_claims import MADE, settings

BOUND = bounds(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["b", "xmpp"]), inner, max_size=2),
    max_leaves=5,
)
CLAIMS = st.dictionaries(st.sampled_from(["xmpp", "preferred_username", "groups", "email", "a.b", "a"]), JSON)


@BOUND
@given(CLAIMS, st.sampled_from(["{xmpp}", MADE, "{a.b}@example.org", "{email}"]))
def test_whatever_is_claimed_gives_a_prepared_address_or_a_sentence(claims: dict[str, object], jid: str) -> None:
    """No claim raises anything but our own errors, and what comes out is an address that stays as it is."""
    try:
        made = identify(claims, settings(jid, hostGroups=["boss"]))
    except (NoAddress, NotVerified) as problem:
        assert problem.sentence  # noqa: PT017  # any of the two
        return
    assert made.owner == prepare_bare(made.owner)


@BOUND
@given(st.text(min_size=1, max_size=30))
def test_a_name_never_leaves_its_server(name: str) -> None:
    """Whatever a name holds, the server of the address is the one that the host has written."""
    try:
        made = identify({"preferred_username": name}, settings())
    except NoAddress:
        return
    assert "example.org" == made.owner.rpartition("@")[2]
    assert 1 == made.owner.count("@")


@BOUND
@given(st.text(max_size=20), st.text(max_size=20))
def test_two_names_are_one_owner_only_if_they_differ_in_case(one: str, other: str) -> None:
    """Nothing but capitals of ASCII is mapped."""
    owners = set()
    for name in (one, other):
        try:
            owners.add(identify({"preferred_username": name}, settings()).owner)
        except (NoAddress, OwnerError):
            return
    assert (1 == len(owners)) is (_small(one) == _small(other))


def _small(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


@BOUND
@given(JSON, st.text(max_size=20))
def test_looking_for_a_claim_finds_or_finds_nothing(claims: object, name: str) -> None:
    """A path into anything is no error."""
    find(claims if isinstance(claims, dict) else {}, name)
