"""Mutated image files: each is read or refused with a reason, and nothing else happens.

    python -m benchmarks.fuzz [--files 20000] [--seed 0]

Starts from small files of every format that Pillow writes here, plain, large, with EXIF, ICC, animation, palette and
16 bits, and changes bytes, cuts, doubles and swaps stretches, and grows numbers. Prints what came of it a format.
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections import Counter

from PIL import Image

from tests.drawing import picture
from unifex.images import ImageError, decode

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
SECONDS = 10.0  # a file may take so long


def seeds() -> dict[str, list[bytes]]:
    """Sound files by format."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    small, large = picture("signs/stripes", 1, side=40), picture("signs/cross", 2, side=300)
    made: dict[str, list[bytes]] = {}
    for format, variants in {
        "JPEG": [{}, {"exif": exif, "icc_profile": b"x" * 200}, {"progressive": True}],
        "PNG": [{}, {"exif": exif}, {"save_all": True}],
        "WEBP": [{}, {"lossless": True, "exif": exif}, {"save_all": True}],
        "GIF": [{}, {"save_all": True}],
        "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"save_all": True}],
        "BMP": [{}],
        "AVIF": [{}],
        "HEIF": [{}],
        "PPM": [{}],
    }.items():
        for options in variants:
            for image in (small, large, small.convert("L"), small.convert("I;16")):
                if image.mode == "I;16" and options.get("compression") == "jpeg":
                    continue  # writing this damages libtiff's memory; reading is what is tried here
                more = {"append_images": [image.rotate(90)] * 2} if "save_all" in options else {}
                try:
                    stream = io.BytesIO()
                    image.save(stream, format, **options, **more)
                except (OSError, ValueError, KeyError):  # not every format holds every kind of pixel
                    continue
                made.setdefault(format, []).append(stream.getvalue())
    return made


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to eight changes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if not out:
            break
        at, kind = rng.randrange(len(out)), rng.randrange(6)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            width = rng.choice((1, 2, 4))
            value = rng.choice(INTERESTING) & ((1 << 8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, rng.choice(("big", "little")))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + rng.randint(1, 64)]
        elif kind == 4:
            out[at:at] = out[at : at + rng.randint(1, 64)]
        else:
            other = rng.randrange(len(out))
            out[at : at + 16], out[other : other + 16] = out[other : other + 16], out[at : at + 16]
    return bytes(out)


def main() -> None:
    """Print the table; exit code 1 when anything else than an image or a refusal came of a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    made, rng, wrong = seeds(), random.Random(arguments.seed), []
    table: dict[str, Counter] = {format: Counter() for format in made}
    for number in range(arguments.files):
        format = rng.choice(list(made))
        data = mutate(rng.choice(made[format]), rng)
        started = time.perf_counter()
        try:
            shown = decode(data, at_least=224).image
            outcome = "read" if shown.mode == "RGB" and min(shown.size) > 0 else "wrong"
        except ImageError as error:
            outcome = "refused" if 0 < len(str(error)) < 150 and "\n" not in str(error) else "wrong"
        except Exception as error:  # that is what is looked for
            outcome = f"wrong: {type(error).__name__}"
        seconds = time.perf_counter() - started
        table[format].update({outcome.partition(":")[0]: 1, "slow": seconds > SECONDS})
        if outcome.startswith("wrong") or seconds > SECONDS:
            wrong.append((number, format, outcome, seconds))
    print(f"{'format':8}{'files':>8}{'read':>8}{'refused':>9}{'wrong':>7}{'slow':>6}")
    for format, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        files = counts["read"] + counts["refused"] + counts["wrong"]
        print(f"{format:8}{files:8}{counts['read']:8}{counts['refused']:9}{counts['wrong']:7}{counts['slow']:6}")
    for line in wrong[:20]:
        print(*line)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
