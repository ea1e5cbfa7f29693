"""What a model says of itself: sentences of ``config.json``, in English there, that are said in any language."""

from __future__ import annotations

import re
from functools import cache

from unifex.core.language import say, to_say

OF_CLASSES = to_say(
    "Trained on {images:,} images of {classes:,} classes; "
    "scores of queries of {others:,} classes that were not trained on."
)
OF_KNOWN_CLASSES = to_say(
    "Trained on {images:,} images of {classes:,} classes; "
    "scores of queries of {others:,} classes that were not trained on now; {known:,} of them were before."
)
OF_IMAGES = to_say(
    "Trained on {images:,} images of {classes:,} classes; "
    "scores of queries of trained classes, images that were not trained on."
)
IMPORTED = to_say("Imported from {file}.")
IMPORTED_LAYER = to_say("A linear layer imported from {file}.")
_EARLIER = to_say(
    "Trained on {images:,} images of {classes:,} classes; scores on {others:,} classes that were not among them."
)
_FORMS = (OF_CLASSES, OF_KNOWN_CLASSES, OF_IMAGES, IMPORTED, IMPORTED_LAYER, _EARLIER)


def said(description: str) -> str:
    """In the language that is spoken, where it is the program's own sentence; what somebody wrote stays as it is."""
    for form in _FORMS:
        if found := _pattern(form).fullmatch(description):
            return say(form, **{name: _value(name, text) for name, text in found.groupdict().items()})
    return description


@cache
def _pattern(form: str) -> re.Pattern[str]:
    counted = re.sub(r"\\{(\w+):,\\}", r"(?P<\1>[0-9,]{1,20})", re.escape(form))
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", counted))


def _value(name: str, text: str) -> int | str:
    return text if name == "file" else int(text.replace(",", ""))
