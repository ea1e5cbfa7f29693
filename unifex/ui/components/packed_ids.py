"""Many ids in few characters of an address: how far each is from the one before, deflated.

Of a lasso on a map that is about a character an id.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from itertools import accumulate, pairwise

MARK = "~"  # which no list of ids with commas begins with
MOST_TEXT = 2**18  # characters of what is unpacked: more is no address of the page's
LARGEST = 2**63 - 1


def packed(ids: Iterable[int]) -> str:
    """These ids, 0 to 2^63 - 1, in ascending order."""
    gaps = (later - earlier for earlier, later in pairwise([-1, *sorted(set(ids))]))
    text = zlib.compress(",".join(map(str, gaps)).encode(), 9)
    return MARK + base64.urlsafe_b64encode(text).decode().rstrip("=")


def unpacked(text: str) -> tuple[int, ...]:
    """What :func:`packed` was given. Raises ValueError for what it never said."""
    try:
        data = base64.urlsafe_b64decode(text.removeprefix(MARK) + "=" * (-len(text.removeprefix(MARK)) % 4))
        unpacking = zlib.decompressobj()
        gaps = [int(gap) for gap in unpacking.decompress(data, MOST_TEXT).decode("ascii").split(",")]
    except zlib.error as error:
        raise ValueError("no packed ids") from error
    ids = tuple(accumulate(gaps, initial=-1))[1:]
    if not unpacking.eof or min(gaps) < 1 or ids[-1] > LARGEST:
        raise ValueError("no packed ids")
    return ids
