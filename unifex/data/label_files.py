"""Label files of other tools: what each says of which image. A format is a function and its line in :data:`FORMATS`.

All of them name images by paths, and some of an image by several labels: the one that covers most of the image is its
label, of equals the one that is there more often, and all of them are its tags.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from unifex.core.json_text import parse_json
from unifex.core.language import say, to_say
from unifex.core.text import printable
from unifex.data.column_names import Taken, own_name
from unifex.data.item import MAX_COLUMNS
from unifex.data.listed import NESTED, SAID_ALREADY, TOO_MANY, left_out
from unifex.data.manifest import KNOWN, MAX_NAME, plain, shown_name
from unifex.data.splits import is_split

MOST_LABELS = 10_000  # of one image
OWN = "exported by UniFEx"  # what a file of COCO says that is ours


@dataclass(frozen=True)
class Described:
    """One image. ``where``: in the label file (``images[3]``); ``paths``: where its file may lie, the first that is
    there; ``by_stem``: they are without the ending. ``problem``: why there is nothing to say of it, be it that it is no
    JSON (``is_json``)."""

    where: str
    paths: tuple[str, ...]
    label: str = ""
    domain: str = ""
    split: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    by_stem: bool = False
    is_json: bool = True


@dataclass(frozen=True)
class Format:
    """``takes``: whether a document (what is in a JSON file) is of this kind; ``read`` what it says."""

    name: str
    takes: Callable[[Any], bool]
    read: Callable[[dict[str, Any], str], Iterator[Described]]


def text_of(value: object) -> str:
    """A plain value as a cell has it; empty for what is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value).strip() if isinstance(value, str | int) else ""


def texts_of(value: object) -> tuple[str, ...]:
    """The texts of a list of plain values."""
    return tuple(text for one in value if (text := text_of(one))) if isinstance(value, list) else ()


def further(values: Mapping[str, Any], but: Collection[str], taken: Taken) -> tuple[dict[str, str], tuple[str, ...]]:
    """What is plain of all else that is said, by column, but for what tools keep for themselves, and what is to be told
    of the rest. ``taken``: names that further columns are marked beside."""
    named = ((shown_name(name), value) for name, value in values.items() if name not in but)
    said = [(own_name(name, taken), value) for name, value in named if name and not name.startswith("_")]
    kept = {name: text for name, value in said if (text := text_of(value))}
    unread = left_out(NESTED, (name for name, value in said if is_nested(value)))
    unread += left_out(TOO_MANY, [*kept][MAX_COLUMNS:])
    return dict([*kept.items()][:MAX_COLUMNS]), unread


def is_nested(value: object) -> bool:
    """Whether it is a list, or an object, with something in it."""
    return isinstance(value, list | dict) and bool(value)


def said_outright(entry: Mapping[str, Any]) -> dict[str, str]:
    """The label, domain and split that an entry says in so many words, as those do that UniFEx writes (or people add):
    they tell more than classes can, of which two domains may have the same."""
    told = {name: text_of(entry.get(name)) for name in ("label", "domain", "split")}
    return {name: text for name, text in told.items() if text and (name != "split" or is_split(text))}


def most_of(labels: Iterable[tuple[str, float]]) -> tuple[str, tuple[str, ...]]:
    """From (label, area): the label that covers most, and all labels with it first."""
    areas, counts = defaultdict[str, float](float), defaultdict[str, int](int)
    for label, area in labels:
        areas[label] += area
        counts[label] += 1
    ordered = sorted(areas, key=lambda label: (-areas[label], -counts[label]))
    return (ordered[0] if ordered else ""), tuple(ordered)


def _area(box: object, area: object = None) -> float:
    """Of an annotation, by what it says or by its box (x, y, width, height); 0 for what is none."""
    whole = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    for value in (area, box[2] * box[3] if whole and isinstance(box, list) else 0.0):
        if isinstance(value, int | float) and 0 <= value < 1e300:
            return float(value)
    return 0.0


# --- COCO: https://cocodataset.org/#format-data -----------------------------------------------------------------------


_UNKNOWN = to_say("{count:,} annotations name a category that is not there")
_OF_COCO = frozenset(("id", "file_name", "width", "height", "license"))


def is_of_coco(name: str) -> bool:
    """Whether an image's entry says something of its own under this name, or nothing that is read."""
    return name in _OF_COCO or name in ("path", "label", "domain", "split", "tags") or name.startswith("_")


def _is_coco(document: Any) -> bool:
    return isinstance(document, dict) and all(
        isinstance(document.get(part), list) for part in ("images", "annotations", "categories")
    )


def _coco(document: dict[str, Any], name: str) -> Iterator[Described]:
    """``images``, ``annotations`` (bbox, area, category_id) and ``categories`` (name, supercategory: the domain)."""
    categories = {_id(one.get("id")): one for one in document["categories"] if isinstance(one, dict)}
    above = {str(one.get("name")): one.get("supercategory") for one in categories.values()}
    domains = {name: text for name, text in above.items() if isinstance(text, str) and text not in (name, "none")}
    annotations = defaultdict[str, list[dict[str, Any]]](list)
    for one in document["annotations"]:
        if isinstance(one, dict):
            annotations[_id(one.get("image_id"))].append(one)
    folders = ("", "data/", "images/", name.removeprefix("instances_") + "/")
    written = ("path",) if OWN in str(document.get("info")) else ()  # by us: where the image was
    for number, image in enumerate(document["images"]):
        where = f"images[{number}]"
        path = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(path, str) or not path:
            yield Described(where, (), problem=say("it has no file_name; each image of COCO names its file"))
            continue
        own = annotations[_id(image.get("id"))][:MOST_LABELS]
        named = [(one, categories.get(_id(one.get("category_id")), {}).get("name")) for one in own]
        label, tags = most_of(
            (name, _area(one.get("bbox"), one.get("area"))) for one, name in named if isinstance(name, str)
        )
        unknown, said = sum(not isinstance(name, str) for _, name in named), said_outright(image)
        extra, left = further(image, (*_OF_COCO, *_tags_of(image), *said, *written), is_of_coco)
        of_class = tags if "label" not in said or len(tags) > 1 else ()  # the one class is the label, in other words
        yield Described(
            where,
            tuple(folder + path for folder in dict.fromkeys(folders)),
            said.get("label", label),
            said.get("domain", domains.get(label, "")),
            said.get("split", ""),
            extra=extra,
            tags=(*texts_of(image.get("tags")), *of_class),
            notes=((say(_UNKNOWN, count=unknown),) if unknown else ()) + left,
        )


def _tags_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The column of the tags, where it has some."""
    return ("tags",) if texts_of(entry.get("tags")) else ()


def _id(value: object) -> str:
    """Ids are numbers, or texts of them; tables with gaps write whole ones with a point (``1.0``)."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


# --- FiftyOne: https://docs.voxel51.com/user_guide/export_datasets.html ----------------------------------------------

_SINGLE, _SEVERAL = ("Classification", "Detection"), {"Classifications": "classifications", "Detections": "detections"}


def _is_samples(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("samples"), list)


def _samples(document: dict[str, Any], name: str) -> Iterator[Described]:
    """FiftyOneDataset: ``samples``, each with ``filepath``, ``tags`` and fields, of which one has its labels:
    ``ground_truth``, or the first with labels. In one of ours ``columns`` says what fields are called otherwise."""
    columns = document.get("columns")
    renamed = columns if isinstance(columns, dict) else {}
    for number, sample in enumerate(document["samples"]):
        where = f"samples[{number}]"
        path = sample.get("filepath") if isinstance(sample, dict) else None
        if not isinstance(path, str) or not path:
            yield Described(where, (), problem=say("it has no filepath; export it with export_media=True"))
            continue
        fields = {key: value for key, value in sample.items() if isinstance(value, dict) and _is_label(value)}
        field = "ground_truth" if "ground_truth" in fields else next(iter(fields), "")
        label, labels = most_of(_labels(fields[field]) if field else ())
        several = labels if field and fields[field]["_cls"] in _SEVERAL else ()
        said = said_outright(sample)
        of_sample = ("filepath", "item_path", "metadata", *_tags_of(sample), *fields, *said)
        told, left = further(sample, of_sample, lambda _: False)
        chosen = (say("its label is that of '{field}'", field=printable(field)[:MAX_NAME]),)
        tags = [*texts_of(sample.get("tags"))]
        if said.get("split") in tags:
            tags.remove(said["split"])  # once: somebody may have given a tag of that name, too
        yield Described(
            where,
            (path,),
            said.get("label", label),
            said.get("domain", ""),
            said.get("split", ""),
            extra={shown_name(text_of(renamed.get(name))) or name: text for name, text in told.items()},
            tags=(*tags, *several),
            notes=(chosen if len(fields) > 1 else ()) + left,
        )


def _is_label(value: dict[str, Any]) -> bool:
    return str(value.get("_cls")) in (*_SINGLE, *_SEVERAL)


def _labels(value: dict[str, Any]) -> Iterator[tuple[str, float]]:
    inside = value.get(_SEVERAL.get(str(value.get("_cls")), ""))
    for one in (inside if isinstance(inside, list) else [value])[:MOST_LABELS]:
        if isinstance(one, dict) and isinstance(one.get("label"), str):
            yield one["label"], _area(one.get("bounding_box"))


def _is_labels(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("labels"), dict)


def _labels_by_name(document: dict[str, Any], name: str) -> Iterator[Described]:
    """FiftyOneImageClassificationDataset, and ...DetectionDataset: ``labels`` by the file's name in ``data/`` without
    its ending; a label is a place in ``classes``, where there are some, and None for what has none."""
    classes = document.get("classes") if isinstance(document.get("classes"), list) else None
    for uuid, target in document["labels"].items():
        where, paths = f"labels['{printable(uuid)[:MAX_NAME]}']", (f"data/{uuid}",)
        given = target if isinstance(target, list) else [] if target is None else [target]
        try:
            named = [_named(one, classes) for one in given[:MOST_LABELS]]
        except (LookupError, TypeError, ValueError):
            yield Described(
                where, paths, problem=say("{target} is no class of this file", target=str(target)[:40]), by_stem=True
            )
            continue
        label, labels = most_of(named)
        yield Described(where, paths, label, tags=labels if isinstance(target, list) else (), by_stem=True)


def _named(target: Any, classes: list[Any] | None) -> tuple[str, float]:
    """(label, area) of a target, which may have more to say than its class. Raises for what is none."""
    label, box = (target["label"], target.get("bounding_box")) if isinstance(target, dict) else (target, None)
    if classes is not None and not isinstance(label, str):
        label = int(label) if isinstance(label, float) and label.is_integer() else label
        if isinstance(label, bool) or not isinstance(label, int) or label < 0:
            raise ValueError("no place in a list")
        label = classes[label]
    if not isinstance(label, str | int | float):
        raise TypeError("no label")
    return text_of(label), _area(box)


# --- the hub's ImageFolder: https://huggingface.co/docs/datasets/image_dataset#imagefolder ---------------------------


def is_of_line(name: str) -> bool:
    """Whether a row says something of its own under this name, or nothing that is read."""
    return plain(name) in KNOWN or name == "objects" or name.startswith("_")


def described_by_line(where: str, line: bytes) -> Described:
    """A row of a metadata.jsonl: ``file_name`` and columns; texts in ``objects`` are labels with boxes."""
    try:
        row = parse_json(line.decode("utf-8-sig"))
    except ValueError as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else say("not UTF-8, or not of any tool")
        return _no_object(where, why)
    if not isinstance(row, dict):
        return _no_object(where, say("but a {kind}", kind=type(row).__name__))
    names = {known: name for name in reversed(row) if (known := KNOWN.get(plain(name)))}
    columns = {known: row[name] for known, name in names.items()}
    path = columns.get("path")
    if not isinstance(path, str) or not path:
        return Described(where, (), problem=say("no file_name in this line"))
    label, domain, split = (text_of(columns.get(name)) for name in ("label", "domain", "split"))
    several, labels = most_of((text, 0) for text in texts_of(columns.get("label")))
    in_boxes, of_boxes = most_of(_objects(row.get("objects")))
    given = columns.get("tags")
    tags = (given,) if isinstance(given, str) else texts_of(given)
    extra, left = further(row, [name for name in row if is_of_line(name)], is_of_line)
    left += _told_of_line(row, [*names.values()])
    all_tags = (*tags, *labels, *of_boxes)
    return Described(where, (path,), label or several or in_boxes, domain, split, extra, all_tags, left)


def _no_object(where: str, why: str) -> Described:
    return Described(where, (), problem=say("no JSON object ({why}); write one a line", why=why), is_json=False)


def _told_of_line(row: Mapping[str, Any], known: Collection[str]) -> tuple[str, ...]:
    """What is to be told of columns that say something of their own, of which the ``known`` ones are read, where they
    hold."""
    texts = [name for name in known if KNOWN[plain(name)] in ("label", "tags") and texts_of(row[name])]
    unread = [name for name in known if is_nested(row[name]) and name not in texts]
    unread += ["objects"] if is_nested(row.get("objects")) and not any(_objects(row["objects"])) else []
    said = [*(row[name] for name in known), None, ""]
    again = [name for name, value in row.items() if plain(name) in KNOWN and name not in known and value not in said]
    return *left_out(NESTED, map(shown_name, unread)), *left_out(SAID_ALREADY, map(shown_name, again))


def _objects(objects: Any) -> Iterator[tuple[str, float]]:
    """(label, area) of boxes with categories that are texts."""
    if isinstance(objects, dict) and isinstance(names := objects.get("categories"), list):
        boxes = objects.get("bbox")
        for name, box in zip_longest(names[:MOST_LABELS], boxes if isinstance(boxes, list) else ()):
            if isinstance(name, str):
                yield name, _area(box)


FORMATS = (
    Format("COCO", _is_coco, _coco),
    Format("FiftyOneDataset", _is_samples, _samples),
    Format("FiftyOneImageClassificationDataset", _is_labels, _labels_by_name),
)
