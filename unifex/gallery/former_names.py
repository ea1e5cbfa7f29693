"""What the galleries of a library were called before: links, recent searches and the browser's Back go on saying it.

Kept in the library's folder by the gallery's id. A name that a gallery has now means that one, and a name whose gallery
was deleted means none.
"""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import FileLock, Timeout

from unifex.core.files import verify, with_checksum, write_atomically
from unifex.core.text import reason

FILE = ".former-names.json"
MOST = 1000  # names; the oldest go
WAIT_SECONDS = 5
log = logging.getLogger("unifex")


def id_of(folder: Path, name: str) -> str:
    """The id of the gallery that was called so, empty where none was."""
    return _ids(folder).get(name, "")


def note(folder: Path, name: str, id: str) -> None:
    """The gallery with this id was called ``name`` in the library of this folder; without an id none is meant by it."""
    try:
        if not id and name not in _ids(folder):
            return
        with FileLock(folder / FILE.replace(".json", ".lock"), timeout=WAIT_SECONDS):
            others = {other: of for other, of in _ids(folder).items() if other != name}
            kept = [*others.items(), *([(name, id)] if id else [])][-MOST:]
            write_atomically(folder / FILE, with_checksum({"ids": dict(kept)}))
    except (OSError, Timeout) as error:  # what was asked for is done all the same
        log.warning("what '%s' was called before is not kept: %s", name, reason(error))


def _ids(folder: Path) -> dict[str, str]:
    """Of galleries by what they were called before, the oldest first; none where that cannot be read."""
    try:
        return {str(name): str(id) for name, id in verify((folder / FILE).read_bytes(), required=True)["ids"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        log.warning("what galleries were called before cannot be read: %s", reason(error))
        return {}
