"""JSON, read so that all that can be wrong with it is one kind of error."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes | bytearray) -> Any:
    """What a text says. Raises ValueError (of :mod:`json`'s own kind where it names a place), also for what is nested
    deeper than it can be read, of which Python says RecursionError."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
