"""Boxes on what is searched with, as the page tells of them.

A box belongs to one picture, which is called by what the page knows of it (:func:`about_upload`, :func:`about_item`):
boxes that come late, of what is the query no more, count for nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from unifex.core.json_text import parse_json
from unifex.core.regions import Region


def about_upload(path: str) -> str:
    """What boxes on an upload call it: the folder that it lies in is its own."""
    return Path(path).parent.name


def about_item(gallery: str, item: int) -> str:
    """What boxes on an item of a gallery call it."""
    return f"{gallery}/{item}"


def drawn(told: str, about: str) -> tuple[Region, ...]:
    """The boxes that the page tells of, if they are about this picture. Raises ``UnifexError`` for what is no box."""
    try:
        whose, boxes = parse_json(told) if told else ("", "")
    except (TypeError, ValueError):
        return ()
    return Region.parse_all(str(boxes)) if about and whose == about else ()


def told(about: str, boxes: str) -> str:
    """As the page tells of boxes, which :meth:`Region.parse_all` reads."""
    return json.dumps([about, boxes])
