"""What phones remember, against plain models: the inbox, the bounded memory, and the rules of retries."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.sandbox.node import JID
from tests.sandbox.phones import inbox as inbox_module
from tests.sandbox.phones.inbox import Inbox
from tests.sandbox.phones.retries import MAX_ANSWERS, MAX_ASKS, Answering, Asking, Recent

devices = st.builds(JID, st.sampled_from(["1", "2"]), st.just("lid"), st.integers(0, 2))
ids = st.sampled_from(["A", "B", "C"])
bases = st.none() | st.sampled_from([b"base 1", b"base 2"])


class Memory(RuleBasedStateMachine):
    """A bounded memory beside an ordered list."""

    def __init__(self) -> None:
        super().__init__()
        self.recent: Recent[int, int] = Recent(limit=4)
        self.model: list[tuple[int, int]] = []

    @rule(key=st.integers(0, 8), value=st.integers())
    def put(self, key: int, value: int) -> None:
        """Remember something."""
        self.recent.put(key, value)
        self.model = [*[each for each in self.model if each[0] != key][-3:], (key, value)]

    @rule(key=st.integers(0, 8))
    def get(self, key: int) -> None:
        """Give what is remembered."""
        assert dict(self.model).get(key) == self.recent.get(key)

    @invariant()
    def same(self) -> None:
        """Holds the newest, and no more than the bound."""
        assert len(self.model) == len(self.recent) <= 4
        assert all(key in self.recent for key, _ in self.model)


TestMemory = Memory.TestCase


@given(steps=st.lists(st.tuples(st.sampled_from(["add", "read"]), st.integers(0, 40), st.integers(1, 10)), max_size=60))
def test_an_inbox_is_a_numbered_list_with_a_window(steps: list[tuple[str, int, int]]) -> None:
    """Gives after any number exactly what a list with the same window would."""
    inbox, model = Inbox(), list[int]()
    for step, since, limit in steps:
        if step == "add":
            inbox.add(0.0, "message")
            model.append(len(model) + 1)
        else:
            expected = [n for n in model[-inbox_module.LIMIT :] if n > since][:limit]
            assert expected == [record.n for record in inbox.since(since, limit)]
    assert len(model) == inbox.last


@given(readers=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_every_reader_of_an_inbox_wakes_once(readers: list[int]) -> None:
    """Gives each waiting reader what came after its own number."""

    async def dialogue() -> list[list[int]]:
        inbox = Inbox()
        for _ in range(3):
            inbox.add(0.0, "message")
        tasks = [asyncio.create_task(inbox.wait(since, 30)) for since in readers]
        await asyncio.sleep(0)
        inbox.add(0.0, "message")
        return [[record.n for record in await task] for task in tasks]

    found = asyncio.run(dialogue())
    for since, numbers in zip(readers, found, strict=True):
        everything = list(range(since + 1, 4)) if since < 3 else [4]  # only who had all of them waited
        assert everything == numbers


@settings(max_examples=200)
@given(steps=st.lists(st.tuples(devices, ids, bases), max_size=60))
def test_asking_is_bounded_and_renews_sparingly(steps: list[tuple[JID, str, bytes | None]]) -> None:
    """Asks at most five times per message; first requests carry keys once per session that became current."""
    asking, attempts = Asking(), Counter[tuple[JID, str]]()
    last: dict[JID, bytes | None] = {}
    for device, message_id, base in steps:
        ask = asking.ask(device, message_id, base)
        attempts[device, message_id] += 1
        number = attempts[device, message_id]
        if number > MAX_ASKS:
            assert ask is None
            continue
        assert ask is not None
        assert number == ask.attempt
        known = device in last and last[device] == base
        assert ask.with_keys is (number > 1 or not known)
        if ask.with_keys:
            last[device] = base


@settings(max_examples=200)
@given(steps=st.lists(st.tuples(st.sampled_from(["send", "ask"]), devices, ids, st.integers(0, 3)), max_size=60))
def test_answering_is_bounded_and_never_renews_what_is_new(
    steps: list[tuple[str, JID, str, int]],
) -> None:
    """Answers only what was sent to that device, ten times; renews exactly the session that failed."""
    answering = Answering()
    current: dict[JID, int] = {}
    used: dict[tuple[JID, str], int] = {}
    answers: Counter[tuple[JID, str]] = Counter()
    for step, device, message_id, session in steps:
        key = device, message_id
        if step == "send":
            if key in used:
                continue  # an id is sent once; what follows are answers
            current[device] = session
            used[key] = session
            answering.note(device, message_id, bytes([session]))
        elif key not in used:
            assert not answering.answers(device, message_id)
        else:
            assert answering.answers(device, message_id) is (answers[key] < MAX_ANSWERS)
            renews = answering.renews(device, message_id, bytes([current[device]]))
            assert renews is (used[key] == current[device])
            if answering.answers(device, message_id):
                current[device] += 10 if renews else 0
                current[device] %= 250
                used[key] = current[device]
                answers[key] += 1
                answering.note(device, message_id, bytes([current[device]]))
