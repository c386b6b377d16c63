"""Reading YAML of people: errors name the field and what is expected, and never the value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_operator.resources.account import OWNER, BridgeAccount
from ponton_operator.resources.base import NAME_SENTENCE
from ponton_operator.resources.gateway import BridgeGateway
from ponton_operator.resources.yamlfile import MAX_BYTES, BadResource, dump, load

HEAD = "apiVersion: ponton.im/v1alpha1\nkind: BridgeAccount\n"
GOOD = HEAD + "metadata: {name: a}\nspec: {owner: alice@example.org, gatewayRef: {name: wa}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "This is no resource: it should begin with apiVersion and kind: BridgeAccount."),
        ("- 1", "This is no resource: it should begin with apiVersion and kind: BridgeAccount."),
        ("a: [", "This is not YAML: line 2, column 1: did not find expected node content."),
        ("a: 1\nb: 2\na: 3\n", "This is not YAML: line 3, column 1: 'a' stands twice."),
        ("a: 2020-13-45", "This is not YAML: it holds characters, values or nesting that cannot be read."),
        ("kind: BridgeGateway\napiVersion: ponton.im/v1alpha1", "kind: must be BridgeAccount"),
        ("kind: BridgeAccount\napiVersion: v1", "apiVersion: must be ponton.im/v1alpha1"),
        (HEAD, "metadata: this field is missing\nspec: this field is missing"),
        (GOOD + "spce: 1", "spce: there is no such field; did you mean spec?"),
        (
            GOOD.replace("owner:", "ownr:"),
            "spec.owner: this field is missing\nspec.ownr: there is no such field; did you mean owner?",
        ),
        (
            GOOD.replace("name: wa", "name: wa, nam: x"),
            "spec.gatewayRef.nam: there is no such field; did you mean name?",
        ),
        (
            GOOD.replace("gatewayRef", "gateway_ref"),
            ("spec.gatewayRef: this field is missing\n"
            "spec.gateway_ref: there is no such field; did you mean gatewayRef?"),
        ),
        (GOOD.replace("{name: wa}", "wa"), "spec.gatewayRef: fields are expected here, not a single value"),
        (GOOD.replace("owner: alice@example.org", "owner: 5"), "spec.owner: text is expected here (put it in quotes)"),
        (
            GOOD.replace("{name: wa}", "{name: wa}, desired: Runing"),
            "spec.desired: must be 'Running', 'Parked' or 'Stopped'",
        ),
        (GOOD.replace("{name: wa}", "{name: wa}, wake: x"), "spec.wake: a whole number is expected here"),
        (GOOD.replace("{name: wa}", "{name: wa}, wake: -1"), "spec.wake: input should be greater than or equal to 0"),
        (GOOD.replace("name: a}", "name: A}"), f"metadata.name: {NAME_SENTENCE}"),
        (GOOD.replace("alice@", ""), f"spec.owner: {OWNER.sentence}"),
        (GOOD.replace("name: wa", "name: null"), "spec.gatewayRef.name: this field is missing"),
        (GOOD.replace("{name: wa}", '{name: wa}, wake: "5"'), "spec.wake: a whole number is expected here"),
    ],
)  # fmt: skip
def test_says_what_is_wrong(text: str, expected: str) -> None:
    """Each mistake is one sentence about one field."""
    with pytest.raises(BadResource) as caught:
        load(BridgeAccount, text)
    assert expected == caught.value.sentence


def test_takes_what_is_good() -> None:
    """A good file is taken."""
    assert "alice@example.org" == load(BridgeAccount, GOOD).spec.owner


def test_never_repeats_a_value() -> None:
    """A value that is refused is not in the error: it may be an address or a secret."""
    for field, value in (("owner", "canary"), ("wake", "canary"), ("desired", "canary"), ("gatewayRef", "canary")):
        with pytest.raises(BadResource) as caught:
            load(BridgeAccount, HEAD + f"metadata: {{name: a}}\nspec: {{{field}: {value}}}")
        assert "canary" not in caught.value.sentence


def test_large_files_are_refused_unread() -> None:
    """A file that no resource needs is not parsed."""
    with pytest.raises(BadResource, match="larger than"):
        load(BridgeAccount, "x" * (MAX_BYTES + 1))


def test_many_errors_are_told_in_portions() -> None:
    """No more than five sentences at once."""
    with pytest.raises(BadResource) as caught:
        load(BridgeGateway, HEAD.replace("Account", "Gateway") + "".join(f"x{n}: 1\n" for n in range(50)))
    assert 5 == len(caught.value.sentence.splitlines())


@pytest.mark.parametrize("bomb", ["&a [*a]", "&a [&b [*a, *b], *a]"])
def test_aliases_do_no_harm(bomb: str) -> None:
    """A file that refers to itself is refused like any other."""
    with pytest.raises(BadResource):
        load(BridgeAccount, GOOD + f"status: {bomb}")


@given(st.binary(max_size=300))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    """Whatever a file holds, there is a resource or a BadResource."""
    with pytest.raises(BadResource):
        load(BridgeAccount, data)


@given(st.text(alphabet="{}[]:,&*!|>'\"%@`-? \nabc0", max_size=120))
def test_any_yaml_is_taken_or_refused(text: str) -> None:
    """The same for what looks like YAML."""
    with pytest.raises(BadResource):
        load(BridgeAccount, HEAD + "spec: " + text)


def test_dumps_as_people_write() -> None:
    """Kind first, defaults left out, no status where there is none."""
    assert GOOD.splitlines()[:2] == dump(load(BridgeAccount, GOOD)).splitlines()[:2]
    assert {"apiVersion:", "kind:", "metadata:", "name:", "spec:", "owner:", "gatewayRef:"} == {
        line.split()[0] for line in dump(load(BridgeAccount, GOOD)).splitlines()
    }
