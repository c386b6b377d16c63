"""Fields of control requests: each kind, its default, and the sentence for what is wrong."""

import pytest

from tests.sandbox.control.fields import Fields

GIVEN = {
    "name": "Alice",
    "rate": 2.5,
    "count": 3,
    "as_text": "4",
    "on": False,
    "ids": ["a", "b"],
    "message": {"conversation": "x"},
    "empty": None,
}


@pytest.fixture
def fields() -> Fields:
    """One field of each kind."""
    return Fields(GIVEN, list(GIVEN))


def test_reads_every_kind(fields: Fields) -> None:
    """Gives back texts, numbers (also out of a query's text), flags, lists and objects."""
    assert "Alice" == fields.text("name")
    assert (2.5, 4.0) == (fields.number("rate"), fields.number("as_text"))
    assert (3, 4) == (fields.count("count"), fields.count("as_text"))
    assert fields.flag("on") is False
    assert ["a", "b"] == fields.texts("ids")
    assert {"conversation": "x"} == fields.object("message")


def test_what_is_missing_has_its_default() -> None:
    """Takes defaults, and knows null and absence as the same."""
    fields = Fields({"empty": None}, ["empty"])
    assert ("x", 1.5, 2) == (fields.text("a", "x"), fields.number("b", 1.5), fields.count("c", 2))
    assert (True, [], None) == (fields.flag("d", default=True), fields.texts("e", []), fields.object("f"))
    assert ("empty" in fields, "absent" in fields) == (False, False)


@pytest.mark.parametrize(
    ("method", "name", "sentence"),
    [
        ("text", "absent", "is missing"),
        ("text", "count", "must be a text"),
        ("number", "absent", "must be a number"),
        ("number", "name", "must be a number"),
        ("number", "on", "must be a number"),
        ("number", "endless", "must be a number"),
        ("number", "undefined", "must be a number"),
        ("flag", "absent", "is missing"),
        ("flag", "name", "must be true or false"),
        ("texts", "name", "must be a list of texts"),
        ("texts", "mixed", "must be a list of texts"),
        ("object", "name", "must be a JSON object"),
    ],
)
def test_says_what_is_wrong(method: str, name: str, sentence: str) -> None:
    """Names the field and what it must be."""
    given = GIVEN | {"mixed": ["a", 1], "endless": "inf", "undefined": float("nan")}
    fields = Fields(given, list(given))
    with pytest.raises(ValueError, match=f"'{name}' {sentence}"):
        getattr(fields, method)(name)


def test_numbers_have_a_least_value(fields: Fields) -> None:
    """Refuses a number below what makes sense."""
    with pytest.raises(ValueError, match="'count' must be at least 4"):
        fields.count("count", least=4)
    assert 3 == fields.count("count", least=3)


def test_a_request_is_an_object_of_known_fields() -> None:
    """Refuses other JSON, and a misspelt field with the names that there are."""
    with pytest.raises(ValueError, match="a request is a JSON object"):
        Fields([1])
    with pytest.raises(ValueError, match="nobody understands 'nmae'; known are name, count"):
        Fields({"nmae": 1}, ["name", "count"])
    with pytest.raises(ValueError, match="known are none"):
        Fields({"x": 1})
