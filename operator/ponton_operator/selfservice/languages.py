"""The languages of what owners read: the catalogues in `locale`, and which language somebody gets.

English is what stands in the code. The catalogues are made with `python -m tests.tools.translations`, which also says
what they lack. Called by the pages and, for what the portal has it say, by the front desk.
"""

import gettext
from functools import cache
from pathlib import Path
from typing import Final

from ponton_operator.selfservice.words import Filled

FOLDER: Final = Path(__file__).parent / "locale"
NAMES: Final = {"en": "English", "de": "Deutsch", "fr": "Français"}
_MOST: Final = 20  # languages of a browser that are looked at


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Give the sentences of a language; English ones as they are."""
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation("ponton", FOLDER, [language])


def say(language: str, sentence: str) -> str:
    """Say a sentence of ours in a language; what the catalogue lacks stays as it is."""
    texts = catalogue(language)
    if isinstance(sentence, Filled):
        return texts.gettext(sentence.template).format(**{k: say(language, v) for k, v in sentence.values.items()})
    return texts.gettext(sentence) if sentence else ""


def choose(chosen: str, accepted: str) -> str:
    """Choose a language: what somebody chose, else what the browser accepts (RFC 9110, section 12.5.4), else English.

    >>> choose("", "fr-CH, fr;q=0.9, de;q=0.5")
    'fr'
    """
    if chosen in NAMES:
        return chosen
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted.split(",")[:_MOST]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if 0 < quality <= 1:
            wanted.append((-quality, place, tag.partition("-")[0].lower()))
    return next((tag for _, _, tag in sorted(wanted) if tag in NAMES), "en")
