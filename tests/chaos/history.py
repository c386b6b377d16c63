"""What became of every message, judged from both ends in the manner of Jepsen. Pure; called by `report` and tests.

A message is known by its token, a word at the start of its text that names owner, contact, direction and number. It is
*delivered* when it is seen in its own chat, *told* when its sender got an error for it, *lost* when neither. Seen
twice under different ids is *doubled*, seen behind a later one is *reordered*, seen in any other chat is *leaked*.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

_TOKEN: Final = re.compile(r"(out|in)-([a-z0-9]+)-([a-z0-9]+)-(\d+)")
NEAR_A_KILL: Final = 2.0  # seconds between WhatsApp's acknowledgement and a kill -9 that the driver may have lost it in


class Direction(StrEnum):
    """The way of a message, as its token says it."""

    OUT = "out"  # XMPP -> WhatsApp
    IN = "in"  # WhatsApp -> XMPP


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """Names a message: its chat (owner, contact), its way, its number in that chat and way."""

    direction: Direction
    owner: str
    contact: str
    number: int

    def __str__(self) -> str:
        return f"{self.direction}-{self.owner}-{self.contact}-{self.number}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Find the token at the start of a text; None for texts of others (codes, notices).

        >>> Token.read("in-o1-bob-7 hello")
        Token(direction=<Direction.IN: 'in'>, owner='o1', contact='bob', number=7)
        """
        found = _TOKEN.match(text)
        return cls(Direction(found[1]), found[2], found[3], int(found[4])) if found else None


@dataclass(frozen=True, slots=True)
class Seen:
    """A sighting in the chat of `owner` and `contact`; two with the same `key` are one message to whoever looks."""

    owner: str
    contact: str
    direction: Direction
    token: Token
    key: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the messages of one direction; each list in the order of sending or sighting."""

    sent: int
    delivered: int
    told: list[Token]  # by an error, and not delivered
    lost: list[Token]  # neither
    both: list[Token]  # delivered and told
    doubled: list[Token]  # once for each sighting too many
    again: list[Token]  # once for each further sighting under the same id, which is one message to an app
    reordered: list[Token]  # first seen behind a later one of its chat
    leaked: list[Token]  # seen where it does not belong
    strange: list[Token]  # never sent


def judge(sent: Sequence[Token], seen: Iterable[Seen], told: Collection[Token]) -> Outcome:
    """Judge one direction. `seen` in the order in which each chat shows it."""
    keys: dict[Token, set[str]] = defaultdict(set)
    latest: dict[tuple[str, str], int] = {}
    doubled, again, reordered, leaked, strange = [], [], [], [], []
    known = set(sent)
    for one in seen:
        token, chat = one.token, (one.owner, one.contact)
        if token not in known:
            strange.append(token)
        elif (token.owner, token.contact, token.direction) != (*chat, one.direction):
            leaked.append(token)
        elif one.key not in keys[token]:
            if keys[token]:
                doubled.append(token)
            elif token.number < latest.get(chat, -1):
                reordered.append(token)
            keys[token].add(one.key)
            latest[chat] = max(latest.get(chat, -1), token.number)
        else:
            again.append(token)
    delivered = {token for token, found in keys.items() if found}
    return Outcome(
        sent=len(known),
        delivered=len(delivered),
        told=[token for token in sent if token in told and token not in delivered],
        lost=[token for token in sent if token not in told and token not in delivered],
        both=[token for token in sent if token in told and token in delivered],
        doubled=doubled,
        again=again,
        reordered=reordered,
        leaked=leaked,
        strange=strange,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as a client has it: `stanza_id` by its own archive (XEP-0359), '' where the server gave none."""

    stanza_id: str
    message_id: str
    contact: str
    text: str


def merged(live: Iterable[Shown], archive: Iterable[Shown]) -> list[tuple[str, Shown]]:
    """Merge the archive with what came live, as clients do: by stanza id, else by contact and message id.

    Gives (key, message): the archive in its order, then what is in no archive.
    """
    view: dict[str, Shown] = {}
    by_message: dict[tuple[str, str], str] = {}
    for number, one in enumerate((*archive, *live)):
        alias = (one.contact, one.message_id)
        key = one.stanza_id or (by_message.get(alias) if one.message_id else None) or f"unarchived {number}"
        view.setdefault(key, one)
        if one.message_id:
            by_message.setdefault(alias, key)
    return list(view.items())


def unexcused(
    lost: Iterable[Token],
    ids: Mapping[Token, str],
    acknowledged: Mapping[tuple[str, str], float],
    kills: Mapping[str, Sequence[float]],
    journaled: Mapping[str, Collection[str]],
) -> list[Token]:
    """Give the losses that the limit of neonize does not explain.

    It acknowledges a message before it hands it over, so a kill -9 may lose what it holds: then the server has an
    acknowledgement of (owner, WhatsApp id) within NEAR_A_KILL of a kill of that owner's shard, and the journal
    never had the message. Everything else is a fault of ours.
    """
    return [
        token
        for token in lost
        if ids[token] in journaled.get(token.owner, ())
        or not any(
            abs(acknowledged.get((token.owner, ids[token]), float("-inf")) - kill) <= NEAR_A_KILL
            for kill in kills.get(token.owner, ())
        )
    ]
