"""An image that is not taken: why, and what mends that."""

from __future__ import annotations

from unifex.core.errors import UnifexError
from unifex.core.language import to_say

TOO_MANY_PIXELS = to_say("{width} x {height} pixels: more than {most} megapixels")
TOO_THIN = to_say("{width} x {height} pixels: too thin to show anything")
TOO_MUCH_MEMORY = to_say(
    "{width} x {height} pixels take {needed:,.0f} MB to decode, more than the {allowed:,.0f} MB allowed; "
    "save it smaller or as a JPEG"
)
ANOTHER_FORMAT = to_say("Give a {formats} image.")
CONVERTED = to_say("Save it as a JPEG or a PNG and give that.")
SMALLER = to_say("Give a smaller copy of it.")
LESS_THIN = to_say("Give a part of it that is at most {aspect} times as long as it is wide.")
WHOLE_FILE = to_say("The file has not arrived whole or is damaged: give another copy of it.")


class ImageError(UnifexError):
    """An image that cannot or must not be read; the message is the reason, fit for a report.

    ``remedy``: what to give instead, one of this module's texts; empty where the reason tells it.
    """

    def __init__(self, reason: str, remedy: str = ""):
        super().__init__(reason)
        self.remedy = remedy
