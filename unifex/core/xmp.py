"""The two things that are read of an XMP packet: a rating (``xmp:Rating``) and keywords (``dc:subject``).

https://developer.adobe.com/xmp/docs/XMPNamespaces/xmp/ and .../dc/. The packet is XML of whoever made the file: one
with a document type, which entities need, is read no further, and one larger than a picture has use for not at all.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

MOST_BYTES = 2**20
MOST_SUBJECTS, MOST_CHARACTERS = 200, 10_000  # of them all
_RDF_ITEM = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li"
_SUBJECT = "http://purl.org/dc/elements/1.1/ subject"
_RATING = "http://ns.adobe.com/xap/1.0/ Rating"


@dataclass
class Xmp:
    """What was read, as it is written; ``rating`` is empty without one."""

    rating: str = ""
    subjects: list[str] = field(default_factory=list)


class _Enough(Exception):
    """No further."""


def read_xmp(packet: bytes) -> Xmp:
    """What a packet says, as far as it can be read; never an error."""
    packet = packet.rstrip(b"\0 \n")
    if not packet or len(packet) > MOST_BYTES:
        return Xmp()
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.stop
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    with contextlib.suppress(expat.ExpatError, _Enough, ValueError, LookupError):
        parser.Parse(packet, True)
    return reader.found


class _Reader:
    """Handles what the parser meets; ``_inside`` is the element whose text is wanted, empty of any other."""

    def __init__(self) -> None:
        self.found = Xmp()
        self._inside, self._in_subject, self._parts, self._left = "", False, list[str](), MOST_CHARACTERS

    def stop(self, *_of_document: object) -> NoReturn:
        raise _Enough

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        self.found.rating = self.found.rating or attributes.get(_RATING, "")
        self._in_subject |= name == _SUBJECT
        self._inside = name if name == _RATING or (self._in_subject and name == _RDF_ITEM) else ""
        self._parts = []

    def text(self, text: str) -> None:
        if self._inside:
            self._parts.append(text)
            self._left -= len(text)
            if self._left < 0:
                raise _Enough

    def end(self, name: str) -> None:
        if name == self._inside == _RATING:
            self.found.rating = self.found.rating or "".join(self._parts).strip()
        elif name == self._inside == _RDF_ITEM:
            self.found.subjects.append("".join(self._parts))
            if len(self.found.subjects) >= MOST_SUBJECTS:
                raise _Enough
        self._in_subject &= name != _SUBJECT
        self._inside = ""
