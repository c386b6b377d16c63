"""Specs for both sides to judge: good ones made after the structural schema, and bent ones.

Called by `test_crds`. A text is made after the sentence of its rule: SAMPLES has what keeps and what breaks each.
"""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from hypothesis import strategies as st

from ponton_operator.resources.account import OWNER
from ponton_operator.resources.base import NAME_SENTENCE
from ponton_operator.resources.network import ONE_KIND
from ponton_operator.resources.rules import ASCENDING_TO_ALL, KEYWORD, MEMORY_FITS, NAMES_UNIQUE, NETWORK

Schema = dict[str, Any]
Json = Any

# By the sentence of a rule on texts: values that keep it, and values that break it.
SAMPLES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    OWNER.sentence: (
        ("alice@example.org", "a@b", "älice@exämple.org", "a\\20b+c@d", "\U0001f6a4@b", "x" * 1000 + "@y"),
        ("", "alice", "@b", "a@", "a@b/c", "a@b@c", "a b@c", "a\x00@b", "a@b\n", "\x7f@b", "\ufffd@b", "\ud800@b"),
    ),
    NAME_SENTENCE: (("a", "wa-1", "0", "a" * 63), ("", "A", "a.b", "-a", "a-", "a\n", "ä", "a_b", "\ud800")),
    "write a host name in small letters, like chat.example.org": (
        ("localhost", "wa.example.org", "xn--bcher-kva.example", "1.2", "a" * 253),
        ("", "Example.org", "a..b", ".a", "a.", "a_b", "a b", "a\n", "a:1", "ä.b", "\udfff.b"),
    ),
    "write the name of an object of Kubernetes, or nothing": (("", "gvisor", "a.b"), ("A", "a/b", " ", "a.\n")),
    "write an amount of CPU like 20m, 0.5 or 2": (
        ("0", "20m", "0.5", "2", "9999.999", "9999999m"),
        ("", "m", "1.5m", "-1", "1k", "1e3", "0.0001", "1 ", "٣", "1\n"),
    ),
    "write an amount of bytes like 96Mi or 1.5Gi": (
        ("96Mi", "97Mi", "256Mi", "100M", "268435456", "1.5Gi", "1Ti", "999999999999999Ti", "999999999999999.999Ti"),
        ("", "0", "100m", "Mi", "-1", "96mi", "96 Mi", "1e6", "1.2345Gi", "0.5Gi", "٣Mi", "96Mi\n"),
    ),
    NETWORK.sentence: (
        ("10.0.0.0/8", "0.0.0.0/0", "203.0.113.7/32", "2001:db8::/32", "::/0", "::1/128", "64:ff9b::/96", "A::/16"),
        (
            *("", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/08", "10.0.0.0/33", "010.0.0.0/8", "::ffff:1.2.3.4/128"),
            *(
                "::ffff:0:0/96",
                "fe80::%1/64",
                "10.0.0.0/255.0.0.0",
                "10.0.0.0/8\n",
                "x/8",
                "2001:db8::1/32",
                "1::1::/9",
            ),
        ),
    ),
    "write the value of a label: at most 63 letters, digits, '-', '_' and '.', or nothing": (
        ("", "a", "A.b_c-9", "a" * 63),
        ("-", "a b", "a/b", "ä", "a\n"),
    ),
    "write a key of a Secret: letters, digits, '-', '_' and '.'": (("ca.crt", "A_b-1", "."), ("", "a/b", "a b", "a\n")),
    "write a host name or an address, without port": (
        ("127.0.0.1", "::1", "prosody", "a_b.C"),
        ("", "a b", "a/b", "[::1]", "a\n"),
    ),
    "write the URL of the module's view, like https://prosody.example.org:5281/shards": (
        ("http://127.0.0.1:5280/shards", "https://[::1]/a/b", "http://a/"),
        ("", "http://a", "ftp://a/b", "http:///a", "http://a/b?c", "http://a/b#c", "http://u:p@a/b", "http://a/b\n"),
    ),
    "write the URL of a proxy without path, like http://proxy.example.org:3128, or nothing": (
        ("", "http://proxy:3128", "https://u:p%20@[::1]:1"),
        ("proxy:3128", "http://", "http://a/", "http://a b", "http://a?b", "http://a\n"),
    ),
    "write the address of the page without '/' at its end, like https://example.org/whatsapp; "
    "http is for localhost only": (
        ("https://example.org", "https://example.org:8443/a/b", "http://localhost:8480", "http://127.0.0.1/x"),
        (
            "",
            "example.org",
            "https://",
            "https://a/",
            "http://example.org",
            "https://a?b",
            "https://a b",
            "https://a\n",
        ),
    ),
    "write the reference of an image, like registry.example.org/ponton-bridge:1.0, or nothing": (
        ("", "a", "r.example:5000/p/b:1.0", "a@sha256:" + "0" * 64),
        (" ", "a b", "-a", "/a", "ä", "a\n"),
    ),
    "write the issuer exactly as the login server names itself, like https://login.example.org/realms/main; "
    "http is for localhost only": (
        ("https://login.example.org", "https://a:8443/realms/main/", "http://localhost:8480/a", "https://[::1]/%7Ea"),
        (
            "",
            "https://",
            "http://example.org",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "https://a//b",
            "https://a\n",
        ),
    ),
    "write it in ASCII without spaces, exactly as the login server has it": (
        ("ponton", "a:b/c{}", "!~", "x" * 256),
        ("", "a b", "ä", "a\n", "\x7f"),
    ),
    "write the name of the claim that holds the XMPP address, in braces, or an address in which such a name stands "
    "for a part": (
        ("{xmpp}", "{preferred_username}@example.org", "{a.b:c/d}-ä{e}@f"),
        ("", "xmpp", "{}", "{a b}", "{a", "a}", "{{a}}", "{a}@b c", "{a}\n", "{ä}"),
    ),
    "write the name of a scope, like profile": (
        ("profile", "https://a/b", "!#[]~"),
        ("", "a b", 'a"b', "a\\b", "ä", "a\n"),
    ),
    "write the name of a claim, like groups, or its path, like realm_access.roles": (
        ("groups", "realm_access.roles", "https://a.example/Groups-1"),
        ("", "a b", "{a}", "ä", "a\n"),
    ),
    "write the name of a group": (("staff", "/org/ä b", " "), ("", "\n", "a\nb", "a\n")),
}
PLAIN: Final = (("", "Login of ä", "a" * 60), ("a" * 61,))  # a text that people read, without a rule
KEYS: Final = (("app", "example.org/App_1", "a" * 63), ("", "a b", "a/b/c", "A.org/x", "a" * 64, "a\n"))
# What may stand anywhere instead of what should, as JSON.
STRANGERS: Final[tuple[Json, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    5.0,
    1.5,
    1e20,
    2**53,
    2**63,
    10**30,
    "",
    "5",
    "true",
    "x" * 70_000,
    "a\u2028b",
    "\ud800",
    [],
    {},
    [None],
    {"a": None},
)


def good(schema: Schema) -> st.SearchStrategy[Json]:
    """Make values that a schema takes, its rules included."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return GOOD[schema["type"]](schema)


def _samples(schema: Schema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if KEYWORD not in schema:
        return PLAIN
    return next(SAMPLES[rule["message"]] for rule in schema[KEYWORD] if rule["message"] in SAMPLES)


def _integers(schema: Schema) -> st.SearchStrategy[Json]:
    low, high = schema.get("minimum", 0), schema["maximum"]
    return st.sampled_from([low, high]) | st.integers(low, high)


def _objects(schema: Schema) -> st.SearchStrategy[Json]:
    if "additionalProperties" in schema:
        return st.dictionaries(st.sampled_from(KEYS[0]), good(schema["additionalProperties"]), max_size=3)
    needed = schema.get("required", [])
    properties = {name: good(inner) for name, inner in schema.get("properties", {}).items()}
    made = st.fixed_dictionaries(
        {name: properties[name] for name in needed},
        optional={name: values for name, values in properties.items() if name not in needed},
    )
    sentences = {rule["message"] for rule in schema.get(KEYWORD, [])}
    if MEMORY_FITS.sentence in sentences:
        return made.map(lambda sizes: {**sizes, "memoryRequest": "96Mi", "memoryLimit": "96Mi"})
    if ONE_KIND.sentence in sentences:
        return made.map(lambda peer: {"cidr": peer["cidr"]} if "cidr" in peer else {"podLabels": {}, **peer})
    return made


def _lists(schema: Schema) -> st.SearchStrategy[Json]:
    sentences = {rule["message"] for rule in schema.get(KEYWORD, [])}
    if ASCENDING_TO_ALL.sentence in sentences:
        return st.lists(st.integers(1, 99), unique=True, max_size=9).map(lambda waves: [*sorted(waves), 100])
    if NAMES_UNIQUE.sentence in sentences:
        return st.lists(good(schema["items"]), max_size=3, unique_by=lambda item: item["name"])
    return st.lists(good(schema["items"]), max_size=3)


GOOD: Final[dict[str, Callable[[Schema], st.SearchStrategy[Json]]]] = {
    "string": lambda schema: st.sampled_from(_samples(schema)[0]),
    "integer": _integers,
    "object": _objects,
    "array": _lists,
    "boolean": lambda _: st.booleans(),
}


def places(schema: Schema, value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Schema]]:
    """Give every place in a good value, with the schema that holds there."""
    yield path, schema
    if isinstance(value, dict):
        inner = schema.get("additionalProperties")
        for name, below in value.items():
            yield from places(inner or schema["properties"][name], below, (*path, name))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from places(schema["items"], below, (*path, number))


@st.composite
def specs(draw: st.DrawFn, schema: Schema) -> Json:
    """Make a spec: one of four is good, the others have one place bent, which may leave it good all the same."""
    spec = draw(good(schema))
    if draw(st.integers(0, 3)) == 0:
        return spec
    path, there = draw(st.sampled_from(list(places(schema, spec))[1:]))
    spec = copy.deepcopy(spec)
    around = spec
    for part in path[:-1]:
        around = around[part]
    special = BENT[there["type"]](there, around[path[-1]])
    around[path[-1]] = draw(st.sampled_from(STRANGERS) | st.sampled_from(special or STRANGERS))
    return spec


def _texts(schema: Schema, _: Json) -> list[Json]:
    """Break the rule of a text; have it as long as it may be, and longer by one."""
    if "enum" in schema:
        return [schema["enum"][0].lower()]
    longest = int(schema["maxLength"])
    return [*_samples(schema)[1], "a" * longest, "a" * (longest + 1)]


def _numbers(schema: Schema, _: Json) -> list[Json]:
    """Leave the bounds of a number by one, stay at them, or write them otherwise."""
    low, high = schema.get("minimum", 0), schema["maximum"]
    return [low - 1, low, high, high + 1, float(low), str(low)]


def _fields(schema: Schema, value: Json) -> list[Json]:
    """Leave out a field, add one that does not exist, write one in snake_case, or give one of a map a wrong name."""
    if "additionalProperties" in schema:
        return [*({**value, key: "x"} for key in KEYS[1]), {f"k{n}": "" for n in range(17)}]
    less = [{key: inner for key, inner in value.items() if key != left} for left in value]
    snaky = {re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", key): inner for key, inner in value.items()}
    more = [snaky, {**value, "unknown": 1}, {**value, "unknown": None}, {**value, "": {}}]
    wrong: list[Schema] = [
        {"memoryRequest": "1Gi"},
        {"memoryLimit": "95Mi"},
        {"cidr": "::/0"},
        {"podLabels": {}},
        {"cidr": None},
    ]
    return [*less, *more, *({**value, **one} for one in wrong if one.keys() <= schema.get("properties", {}).keys())]


def _items(schema: Schema, value: Json) -> list[Json]:
    """Turn a list round, double it, or make it too long."""
    return [value[::-1], value + value, (value or [1]) * (schema["maxItems"] + 1), [*value, None]]


BENT: Final[dict[str, Callable[[Schema, Json], list[Json]]]] = {
    "string": _texts,
    "integer": _numbers,
    "object": _fields,
    "array": _items,
    "boolean": lambda _, value: [not value],
}
