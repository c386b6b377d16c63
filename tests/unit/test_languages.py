"""What owners read in their language: the catalogues are whole and fresh, and which one somebody gets."""

import re
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import languages, words
from ponton_operator.selfservice.languages import NAMES, catalogue, choose, say
from tests.tools import translations

OTHERS = sorted(NAMES.keys() - {"en"})


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogues_are_whole(language: str) -> None:
    """Every sentence that an owner can meet on a page has a translation."""
    assert [] == translations.lacking(translations.merged(language))


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogues_are_fresh(language: str) -> None:
    """Both files are what the code says: run `python -m tests.tools.translations` after a change."""
    po, mo = translations.texts(translations.merged(language))
    file = translations.file_of(language)
    assert (po, mo) == (file.read_bytes(), file.with_suffix(".mo").read_bytes())


@pytest.mark.parametrize("language", OTHERS)
def test_translations_hold_the_same_values(language: str) -> None:
    """No translation lacks a value, or asks for one that nobody gives."""
    for message in translations.merged(language):
        if isinstance(message.id, str) and message.id:
            assert _values(message.id) == _values(str(message.string)), message.id


def _values(text: str) -> set[str]:
    named = {name for _, name, _, _ in Formatter().parse(re.sub(r"%\(\w+\)d", "", text)) if name is not None}
    return named | set(re.findall(r"%\((\w+)\)d", text))


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("reason", Reason)
def test_every_state_of_a_link_is_said_in_every_language(language: str, reason: Reason) -> None:
    """No owner reads how the link is in a language that is not theirs."""
    sentence = words.off_chat(TABLE[reason].sentence)
    assert sentence != say(language, sentence)


def test_sentences_with_values_are_said_with_them() -> None:
    """The values are put in after the translation, and are translated themselves where they are sentences."""
    linked = TABLE[Reason.CONNECTED].sentence
    said = say("de", words.Filled(words.ALREADY, state=linked))
    assert "Sie sind schon angemeldet. Mit WhatsApp verknüpft." == said
    assert "You are registered already. Linked with WhatsApp." == say("en", words.Filled(words.ALREADY, state=linked))


def test_a_filled_sentence_is_a_sentence() -> None:
    """Doors that speak English only take it as it is."""
    assert words.ALREADY.format(state="x") == words.Filled(words.ALREADY, state="x")


def test_unknown_sentences_and_empty_ones_stay() -> None:
    """What the catalogue lacks is shown in English; the empty text is not the catalogue's head."""
    assert ["nobody says this", ""] == [say("fr", "nobody says this"), say("fr", "")]


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        ("", "", "en"),
        ("", "de", "de"),
        ("fr", "de", "fr"),
        ("xx", "de-CH", "de"),
        ("", "it, fr;q=0.5", "fr"),
        ("", "de;q=0.1, fr;q=0.9", "fr"),
        ("", "de;q=0, en", "en"),
        ("", "de;q=zero, fr", "fr"),
        ("", "*", "en"),
    ],
)
def test_chooses_by_choice_then_by_browser(chosen: str, accepted: str, expected: str) -> None:
    """A choice counts first, then the browser's list by weight."""
    assert expected == choose(chosen, accepted)


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(), st.text())
def test_always_chooses_one_that_there_is(chosen: str, accepted: str) -> None:
    """Whatever a browser sends, a language comes out."""
    assert choose(chosen, accepted) in NAMES


def test_english_needs_no_catalogue() -> None:
    """It is what stands in the code."""
    assert words.PAUSED == catalogue("en").gettext(words.PAUSED)
    assert not (languages.FOLDER / "en").exists()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The bridge is parked. Write 'code' to link again.", "The bridge is parked."),
        ("One. Write 'code' to link. Two.", "One. Two."),
        ("Nothing to cut.", "Nothing to cut."),
    ],
)
def test_what_only_a_chat_can_do_is_left_out(sentence: str, expected: str) -> None:
    """Pages and menus have buttons for it."""
    assert expected == words.off_chat(sentence)


def test_the_values_of_a_sentence_are_cut_as_well() -> None:
    """A state inside another sentence loses its advice for chats, too."""
    filled = words.Filled(words.ALREADY, state=TABLE[Reason.PARKED].sentence)
    assert "You are registered already. The bridge is parked." == words.off_chat(filled)
    assert "Vous êtes déjà inscrit. Le pont est garé." == say("fr", words.off_chat(filled))
