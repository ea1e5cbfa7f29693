"""Markup out of templates (``unifex/templates``): whatever is put into one is escaped, so that no name is markup."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from unifex.core import language
from unifex.core.assets import ASSETS, PACKAGE
from unifex.core.text import plural, shortened


def render(name: str, /, **values: object) -> Markup:
    """The template ``unifex/templates/NAME`` with these values, to be shown or put into another template as it is.

    In a template ``asset("map.css")`` is a file of ``assets/`` as it stands and ``value | tojson`` is fit for a script
    element; ``plural(count, "hit", "hits")``, ``shortened`` (:mod:`unifex.core.text`) and ``thousands`` are there, too.
    Sentences stand in ``{% trans %}`` or ``say("...")``, in English (:mod:`unifex.core.language`). Raises
    ``jinja2.UndefinedError`` for a value that the template names and is not given.
    """
    return Markup(_environment().get_template(name).render(values))


def stream(name: str, /, **values: object) -> Iterator[str]:
    """As :func:`render`, piece by piece, for what is more than memory should hold: what is given may be generators."""
    return _environment().get_template(name).generate(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PACKAGE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # pyright: ignore[reportAttributeAccessIssue] the extension brings it
        language.translated, language.translated_form, newstyle=True
    )
    environment.globals.update(say=language.say, plural=plural, language=language.spoken)
    environment.globals["asset"] = lambda name: Markup((ASSETS / name).read_text(encoding="utf-8"))
    environment.filters.update(plural=plural, shortened=shortened, thousands=language.thousands)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment
