"""What programs send to the named endpoints, and what they are answered.

``gradio_client`` takes every object with a ``path`` for a file to download, so items call it ``file``.
"""

from __future__ import annotations

from typing import Any

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.retrieval.hits import Hit


def text_of(what: str, value: Any) -> str:
    """A text that was sent. Raises ``UnifexError``, since whoever calls over HTTP may send anything."""
    if not isinstance(value, str):
        raise UnifexError(say("{what} must be text, not {value!r}", what=what, value=str(value)[:40]))
    return value


def as_file(told: dict[str, Any]) -> dict[str, Any]:
    """What is told of an item, its path as ``file``."""
    return {"file" if name == "path" else name: value for name, value in told.items()}


def told_hit(hit: Hit, public: bool) -> dict[str, Any]:
    """A hit as it is answered. ``public``: neither where the image lies is told, nor what further columns say of it."""
    values = as_file(hit.as_json())
    if public:
        values.pop("extra", None)
        values["uri"] = ""
    return values
