"""What reading EXIF, XMP and IPTC beside the picture costs: pictures as they are, and with all of it in them.

    python -m benchmarks.file_metadata MANIFEST.csv [--images 1000] [--runs 9]

Medians of processor time of decoding, with and without, taking turns, in milliseconds a picture.
"""

from __future__ import annotations

import argparse
import io
import itertools
import statistics
import struct
import time
from collections.abc import Callable, Sequence

from PIL import ExifTags, Image

from unifex.core import images, metadata
from unifex.core.metadata import FileMetadata
from unifex.data.item import Item
from unifex.data.sources import open_source

PACKET = (
    """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="4">
<dc:subject><rdf:Bag><rdf:li>harbour</rdf:li><rdf:li>night</rdf:li><rdf:li>ship</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
    + " " * 2000
)


def described(data: bytes) -> bytes:
    """The picture as a JPEG that says all that is read."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS 5D"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (50.0, 27.0, 0.0), 3: "E", 4: (30.0, 31.0, 12.0)})
    stream = io.BytesIO()
    image = images.decode(data).image
    image.save(stream, "JPEG", quality=90, exif=exif.tobytes(), xmp=PACKET.encode())
    words = b"".join(b"\x1c\x02\x19" + struct.pack(">H", len(word)) + word for word in (b"harbour", b"mast"))
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(words)) + words + b"\0" * (len(words) % 2)
    whole = stream.getvalue()
    return whole[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + whole[2:]


def seconds(pictures: Sequence[bytes], read: Callable[[Image.Image], FileMetadata]) -> float:
    """Of the processor, to decode them all."""
    usual, metadata.read = metadata.read, read
    try:
        started = time.process_time()
        for data in pictures:
            images.decode(data, at_least=224)
        return time.process_time() - started
    finally:
        metadata.read = usual


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    items = (found for found in open_source(options.source) if isinstance(found, Item))
    plain = [item.read() for item in itertools.islice(items, options.images)]
    ways = {"without": lambda image: FileMetadata(), "with": metadata.read}
    for name, pictures in (("as they are", plain), ("with all of it", [described(data) for data in plain])):
        spent = {way: [] for way in ways}
        for turn in range(options.runs):
            for way in list(ways)[:: 1 if turn % 2 else -1]:
                spent[way].append(1000 * seconds(pictures, ways[way]) / len(pictures))
        without, read = (statistics.median(spent[way]) for way in ways)
        print(f"{len(pictures):,} pictures {name}: {without:.3f} -> {read:.3f} ms ({read - without:+.3f})", flush=True)


if __name__ == "__main__":
    main()
