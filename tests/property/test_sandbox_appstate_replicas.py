"""App-state replicas under any sequence of changes: two devices agree, and a changed byte never passes."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.phones import lthash
from tests.sandbox.phones.appstate import AppStateError, Mutation, Replica, SyncKey
from tests.sandbox.proto import wa_sync_action

KEY = SyncKey.generate(Random(3).randbytes, now=1_700_000_000)
KEYS = {KEY.id: KEY.expand()}

names = st.text(min_size=1, max_size=20)
indexes = st.lists(st.text(max_size=10), min_size=1, max_size=3).map(tuple)
macs = st.lists(st.binary(min_size=32, max_size=32), max_size=6)


@st.composite
def mutations(draw: st.DrawFn) -> Mutation:
    """A change of one of a few entries, so that replacing and removing happen."""
    index = draw(st.sampled_from([("contact", "a"), ("contact", "b"), ("mute", "a")]) | indexes)
    value = wa_sync_action.SyncActionValue(pushNameSetting={"name": draw(names)})
    return Mutation(index, value, draw(st.integers(0, 7)), removed=draw(st.booleans()))


steps = st.lists(st.lists(mutations(), min_size=1, max_size=4), min_size=1, max_size=5)


def state(replica: Replica) -> dict[tuple[str, ...], str]:
    """What a user sees of a replica."""
    return {e.mutation.index: e.mutation.value.pushNameSetting.name for e in replica.entries.values()}


@given(steps=steps, seed=st.integers(0, 2**32))
def test_writer_and_reader_agree(steps: list[list[Mutation]], seed: int) -> None:
    """After every patch both hold what a plain dictionary would, with the same hash and version."""
    random, model = Random(seed), dict[tuple[str, ...], str]()
    writer = reader = Replica("regular")
    for version, step in enumerate(steps, 1):
        patch, writer = writer.write(step, KEY, random.randbytes)
        read, reader = reader.read(patch, KEYS)
        for mutation in step:
            model.pop(mutation.index, None)
            if not mutation.removed:
                model[mutation.index] = mutation.value.pushNameSetting.name
        assert step == read
        assert model == state(writer) == state(reader)
        assert (version, writer.hash) == (reader.version, reader.hash)
    assert (lthash.EMPTY == writer.hash) is (not model)


@settings(max_examples=200)
@given(step=st.lists(mutations(), min_size=1, max_size=3), at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_never_changes_an_entry(step: list[Mutation], at: int, flip: int) -> None:
    """A spoiled patch is refused, or the byte was outside everything that counts and the entries are the same."""
    patch, written = Replica("regular").write(step, KEY, Random(1).randbytes)
    spoiled = bytearray(patch)
    spoiled[at % len(spoiled)] ^= flip
    try:
        read, after = Replica("regular").read(bytes(spoiled), KEYS)
    except AppStateError:
        return
    assert step == read
    assert state(written) == state(after)


@given(patch=st.binary(max_size=300))
def test_bytes_from_nowhere_are_refused(patch: bytes) -> None:
    """Whatever is no patch raises AppStateError and nothing else."""
    try:
        read, _ = Replica("regular").read(patch, KEYS)
    except AppStateError:
        return
    raise AssertionError(f"read {read}")


@given(start=macs, added=macs, removed=macs)
def test_the_hash_is_a_sum(start: list[bytes], added: list[bytes], removed: list[bytes]) -> None:
    """Adding and removing commute, and what is added and removed leaves no trace."""
    base = lthash.update(lthash.EMPTY, start, [])
    both = lthash.update(base, added, removed)
    assert both == lthash.update(lthash.update(base, [], removed), added, [])
    assert base == lthash.update(both, removed, added)
