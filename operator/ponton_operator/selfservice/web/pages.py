"""Pages from templates, in the visitor's language; everything that is put in is escaped. Called by the handlers."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ponton_operator.selfservice import languages, words

TEMPLATES: Final = Path(__file__).parent / "templates"
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


class Pages:
    """All templates in all languages; `path` gives a path of ours as browsers know it."""

    def __init__(self, path: Callable[[str], str], domain: str) -> None:
        self._languages = {language: _environment(language, path, domain) for language in languages.NAMES}

    def render(self, language: str, template: str, values: Mapping[str, object]) -> str:
        """Render one page."""
        return self._languages[language].get_template(template).render(values, language=language)


def _environment(language: str, path: Callable[[str], str], domain: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = languages.catalogue(language)
    made.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]  # by the extension
    made.globals |= {
        "path": path,
        "domain": domain,
        "languages": languages.NAMES,
        "say": partial(languages.say, language),
        "words": words,
    }
    made.filters |= {"moment": _moment, "shown_moment": _shown_moment, "shown_age": shown_age}
    return made


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _shown_moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def shown_age(seconds: float) -> str:
    """Say how long something has been, in the largest unit that it fills; the units are the same in all languages.

    >>> shown_age(93784)
    '1 d'
    """
    return next((f"{int(seconds // size)} {unit}" for unit, size in _UNITS if seconds >= size), "0 min")
