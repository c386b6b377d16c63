"""The order in which messages came to a phone, whatever was asked for again."""

from typing import Any

from tests.sandbox.client import AccountHandle, Json, SandboxClient


class Phone(AccountHandle):
    """A phone whose records are made up."""

    def __init__(self, *records: tuple[str, str, str]) -> None:
        super().__init__(SandboxClient("http://nowhere.test"), dict.fromkeys(("number", "pn", "lid", "name"), ""))
        self.records: list[Json] = [
            {"n": n, "kind": kind, "from": sender, "id": identifier, "text": f"{sender} {identifier}"}
            for n, (kind, sender, identifier) in enumerate(records, 1)
        ]

    async def inbox(self, _since: int = 0, _wait: float = 0, kinds: str = "", **_: object) -> list[Json]:  # type: ignore[override]  # what it needs
        """Give the records of these kinds."""
        return [record for record in self.records if record["kind"] in kinds.split(",")]


async def texts(*records: tuple[str, str, str]) -> list[Any]:
    """What a phone with these records shows."""
    return [record["text"] for record in await Phone(*records).arrived()]


async def test_a_message_that_was_asked_for_again_stands_where_it_was_first() -> None:
    """Not where it could be read."""
    told = [("message", "a", "1"), ("undecryptable", "a", "2"), ("message", "a", "3"), ("message", "a", "2")]
    assert ["a 1", "a 2", "a 3"] == await texts(*told)


async def test_what_was_never_read_is_not_shown() -> None:
    """Nor receipts and the like."""
    assert [] == await texts(("undecryptable", "a", "1"), ("receipt", "a", "1"))


async def test_messages_of_two_senders_under_one_id_are_two() -> None:
    """And a repeat of one is shown twice."""
    told = [("undecryptable", "a", "1"), ("message", "b", "1"), ("message", "a", "1"), ("message", "b", "1")]
    assert ["a 1", "b 1", "b 1"] == await texts(*told)
