"""Label files of other tools in a folder, in the forms that these tools document, and what is broken of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawing import encoded, picture
from unifex.cli.main import main
from unifex.data import label_files, sidecars, uploads
from unifex.data.folder import FolderTree
from unifex.data.item import Item, Options, Skipped, SourceError
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery
from unifex.gallery.library import Library

DISC = encoded(picture("shapes/disc", 0))

# https://huggingface.co/docs/datasets/image_dataset#imagefolder
HUB_LINES = """{"file_name": "a.png", "label": "cat", "text": "a cat, asleep", "year": 1999, "ok": true}
{"file_name": "in/b.png", "label": 3, "split": "validation", "tags": ["night", "roof"], "score": 0.25}

{"file_name": "c.png", "objects": {"bbox": [[0, 0, 5, 5], [1, 1, 20, 20]], "categories": ["cat", "dog"]}}
"""
HUB_TABLE = "file_name,label,text\na.png,cat,asleep\nin/b.png,dog,\n"
# https://cocodataset.org/#format-data
COCO = {
    "info": {"year": 2017},
    "licenses": [{"id": 1, "name": "CC BY"}],
    "images": [
        {"id": 7, "file_name": "a.png", "width": 64, "height": 64, "license": 1, "date_captured": "2013-11-14"},
        {"id": 8, "file_name": "in/b.png", "width": 64, "height": 64},
        {"id": 9, "file_name": "c.png", "width": 64, "height": 64},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [0, 0, 10, 10], "area": 90.5, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 6, 10], "iscrowd": 0, "segmentation": []},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [9, 9, 6, 10], "iscrowd": 0},
        {"id": 4, "image_id": 8, "category_id": 18, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 1},
        {"id": 5, "image_id": 8, "category_id": 99, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0},
    ],
    "categories": [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 18, "name": "dog", "supercategory": "animal"},
    ],
}  # fmt: skip
# https://docs.voxel51.com/user_guide/export_datasets.html#fiftyonedataset
SAMPLES = {
    "samples": [
        {
            "_id": {"$oid": "5f3"}, "filepath": "data/a.png", "tags": ["night", "roof"], "_media_type": "image",
            "metadata": None, "_rand": 0.9, "weather": "clear", "uniqueness": 0.5,
            "prediction": {"_cls": "Classification", "label": "dog", "confidence": 0.4},
            "ground_truth": {"_id": {"$oid": "1"}, "_cls": "Classification", "tags": [], "label": "cat"},
        },
        {
            "filepath": "data/in/b.png", "tags": [], "things": {
                "_cls": "Detections", "detections": [
                    {"_cls": "Detection", "label": "cat", "bounding_box": [0.1, 0.1, 0.2, 0.2]},
                    {"_cls": "Detection", "label": "dog", "bounding_box": [0.1, 0.1, 0.5, 0.5]},
                ],
            },
        },
        {"filepath": "data/c.png", "tags": [], "ground_truth": None},
    ]
}  # fmt: skip
# https://docs.voxel51.com/user_guide/export_datasets.html#fiftyoneimageclassificationdataset
CLASSES = {"classes": ["cat", "dog"], "labels": {"a": 1, "in/b": {"label": 0, "confidence": 0.5}, "c": None}}
Said = dict[str, tuple[str, str, str, dict[str, str], tuple[str, ...]]]


def laid(folder: Path, name: str, said: object, below: str = "", names: tuple[str, ...] = ("a", "in/b", "c")) -> Path:
    """A folder with pictures ``below`` in it, and a label file."""
    for picture_name in names:
        path = folder / below / f"{picture_name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DISC + picture_name.encode())
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(said if isinstance(said, str) else json.dumps(said, indent=1), encoding="utf-8")
    return folder


def read(source: Path, exclude: tuple[str, ...] = ()) -> tuple[Said, dict[str, str]]:
    found = list(open_source(str(source), Options(exclude=exclude)))
    items = [one for one in found if isinstance(one, Item)]
    said = {i.path: (i.label, i.domain, i.split, dict(i.labels.extra), i.tags) for i in items}
    return said, {one.path: one.reason for one in found if isinstance(one, Skipped)}


EXPECTED: dict[str, tuple[str, object, str, Said]] = {
    "hub lines": (
        "metadata.jsonl", HUB_LINES, "", {
            "a.png": ("cat", "", "", {"text": "a cat, asleep", "year": "1999", "ok": "true"}, ()),
            "in/b.png": ("3", "", "query", {"score": "0.25"}, ("night", "roof")),
            "c.png": ("dog", "", "", {}, ("dog", "cat")),
        },
    ),
    "hub table": (
        "metadata.csv", HUB_TABLE, "",
        {"a.png": ("cat", "", "", {"text": "asleep"}, ()), "in/b.png": ("dog", "", "", {}, ())},
    ),
    "coco": (
        "_annotations.coco.json", COCO, "", {
            "a.png": ("person", "", "", {"date_captured": "2013-11-14"}, ("person", "dog")),
            "in/b.png": ("dog", "animal", "", {}, ("dog",)), "c.png": ("", "", "", {}, ()),
        },
    ),
    "fiftyone": (
        "samples.json", SAMPLES, "data", {
            "data/a.png": ("cat", "", "", {"weather": "clear", "uniqueness": "0.5"}, ("night", "roof")),
            "data/in/b.png": ("dog", "", "", {}, ("dog", "cat")), "data/c.png": ("", "", "", {}, ()),
        },
    ),
    "fiftyone classes": (
        "labels.json", CLASSES, "data", {
            "data/a.png": ("dog", "", "", {}, ()), "data/in/b.png": ("cat", "", "", {}, ()),
            "data/c.png": ("", "", "", {}, ()),
        },
    ),
}  # fmt: skip
FORMS = list(EXPECTED)


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_read_with_the_file_in_it_as_its_zip_and_as_the_file_itself(tmp_path, form):
    name, text, below, said = EXPECTED[form]
    folder = laid(tmp_path / "photos", name, text, below)
    found, refused = read(folder)
    assert found == said
    left = {} if "c.png" in found or below else {"c.png": f"skipped: not named in {name}"}
    assert refused == left
    assert read(folder / name)[0] == said
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"photos/{file.relative_to(folder)}")
    inside = {f"photos/{path}": one for path, one in said.items()}
    assert read(tmp_path / "photos.zip")[0] == inside
    assert open_source(str(folder)).count() == len(said)


def test_whole_numbers_that_a_table_wrote_with_a_point_are_the_same(tmp_path):
    coco = {**COCO, "annotations": json.loads(json.dumps(COCO["annotations"]), parse_int=float)}
    folder = laid(tmp_path / "coco", "_annotations.coco.json", coco)
    assert {path: said[0] for path, said in read(folder)[0].items()} == {
        "a.png": "person",
        "in/b.png": "dog",
        "c.png": "",
    }
    classes = {**CLASSES, "labels": json.loads(json.dumps(CLASSES["labels"]), parse_int=float)}
    folder = laid(tmp_path / "classes", "labels.json", classes, "data")
    assert {path: said[0] for path, said in read(folder)[0].items()} == {
        "data/a.png": "dog", "data/in/b.png": "cat", "data/c.png": "",
    }  # fmt: skip


def test_coco_lies_beside_its_images_in_annotations_and_a_folder_of_its_split(tmp_path):
    laid(tmp_path / "coco", "annotations/instances_val2017.json", COCO, "val2017")
    (tmp_path / "coco/train2017").mkdir()
    (tmp_path / "coco/train2017/d.png").write_bytes(DISC)
    found, refused = read(tmp_path / "coco/annotations/instances_val2017.json")
    assert {path: one[0] for path, one in found.items()} == {
        "val2017/a.png": "person", "val2017/in/b.png": "dog", "val2017/c.png": "",
    }  # fmt: skip
    assert refused == {"train2017/d.png": "skipped: not named in instances_val2017.json"}
    laid(tmp_path / "cvat", "annotations/instances_default.json", COCO, "images")
    assert set(read(tmp_path / "cvat")[0]) == {"images/a.png", "images/in/b.png", "images/c.png"}


def test_files_of_coco_are_read_unasked_only_where_they_are_our_own(tmp_path):
    """Those of others may be of images that are elsewhere, and of half a gigabyte."""
    own = {"info": {"description": "mine, exported by UniFEx"}}
    one = lambda name, number: {"info": {}, **COCO, "images": [{"id": number, "file_name": f"{name}.png"}]}  # noqa: E731
    folder = laid(tmp_path / "coco", "annotations/instances_train2017.json", one("a", 7), "train2017", ("a", "b"))
    assert {path: said[0] for path, said in read(folder)[0].items()} == {
        "train2017/a.png": "train2017", "train2017/b.png": "train2017",
    }  # fmt: skip
    laid(folder, "annotations/instances_train2017.json", one("a", 7) | own, "train2017", ("a", "b"))
    laid(folder, "annotations/instances_val2017.json", one("c", 8) | own, "val2017", ("c",))
    (folder / "annotations/captions_val2017.json").write_text("{}")
    found, refused = read(folder)
    assert {path: said[0] for path, said in found.items()} == {"train2017/a.png": "person", "val2017/c.png": "dog"}
    assert refused == {"train2017/b.png": "skipped: not named in instances_*.json"}
    assert open_source(str(folder)).count() == 2
    (train,) = read(folder, exclude=("instances_val*",))[0]
    assert train == "train2017/a.png"
    with zipfile.ZipFile(tmp_path / "coco.zip", "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"coco/{file.relative_to(folder)}")
    assert set(read(tmp_path / "coco.zip")[0]) == {f"coco/{path}" for path in found}
    again = {**one("a", 7), **own, "images": [{"id": 8, "file_name": "train2017/a.png"}, {"id": 9}]}
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(again))
    refused = read(folder)[1]
    assert refused["train2017/a.png"] == (
        "annotations/instances_val2017.json, images[0]: listed twice; "
        "annotations/instances_train2017.json, images[0] names it, too"
    )


def test_files_of_single_folders_are_read_only_where_these_are_splits_and_all_there_is(tmp_path):
    line = '{"file_name": "a.png", "label": "cat"}'
    for name in ("train", "test"):
        laid(tmp_path / "set", f"{name}/metadata.jsonl", line, name, ("a",))
    by_files = {"test/a.png": ("cat", "", "query", {}, ()), "train/a.png": ("cat", "", "train", {}, ())}
    assert read(tmp_path / "set")[0] == by_files
    laid(tmp_path / "set", "else/readme.txt", "", "else", ("a",))
    assert set(read(tmp_path / "set")[0]) == {*by_files, "else/a.png"}
    for name in ("cats", "dogs"):  # whose folders are the labels
        laid(tmp_path / "pets", f"{name}/metadata.jsonl", '{"file_name": "a.png", "author": "Ann"}', name, ("a", "b"))
    assert {path: said[0] for path, said in read(tmp_path / "pets")[0].items()} == {
        f"{name}/{file}.png": name for name in ("cats", "dogs") for file in "ab"
    }
    laid(tmp_path / "other", "train/metadata.jsonl", '{"step": 1}', "train", ("a",))  # of another program
    assert set(read(tmp_path / "other")[0]) == {"train/a.png"}
    laid(tmp_path / "beside", "train/metadata.jsonl", line, "train", ("a",))
    laid(tmp_path / "beside", "readme.txt", "", ".", ("b",))
    assert set(read(tmp_path / "beside")[0]) == {"train/a.png", "b.png"}


def test_splits_may_have_tables_in_their_folders_as_the_hub_has(tmp_path):
    folder = tmp_path / "set"
    for name, label in (("train", "cat"), ("validation", "dog")):
        laid(folder, f"{name}/metadata.csv", f"file_name,label,age\na.png,{label},3\ngone.png,x,1\n", name, ("a", "b"))
    found, refused = read(folder)
    assert found == {
        "train/a.png": ("cat", "", "train", {"age": "3"}, ()),
        "validation/a.png": ("dog", "", "query", {"age": "3"}, ()),
    }
    assert refused == {
        "train/b.png": "skipped: not named in metadata.csv (2 of them)",
        "gone.png": "validation/metadata.csv, line 3: file not found",
    }
    laid(folder, "train/metadata.csv", "file_name,label,split\na.png,cat,test\nb.png,cat,\n", "train", ("a", "b"))
    assert {path: said[2] for path, said in read(folder)[0].items() if path.startswith("train")} == {
        "train/a.png": "query", "train/b.png": "train",
    }  # fmt: skip
    laid(folder, "train/metadata.csv", "isic_id,age\n1,2\n", "train", ("a", "b"))  # names no files
    assert set(read(folder)[0]) == {f"{name}/{file}.png" for name in ("train", "validation") for file in "ab"}


@pytest.mark.parametrize("names", [("manifest.csv",), ("metadata.csv",), ("train/metadata.csv", "test/metadata.csv")])
def test_a_tree_that_is_read_many_at_once_is_with_a_list_too(tmp_path, names):
    for name in names:
        laid(tmp_path, name, "path,label\na.png,cat\n", name.rpartition("/")[0] or ".", ("a",))
    tree = FolderTree(tmp_path, Options())
    tree.requests = 32  # as a store's
    assert sidecars.open_tree(tree, "store", Options()).requests == 32


def test_roboflow_has_a_file_in_the_folder_of_each_split(tmp_path):
    for name in ("train", "valid", "test"):
        folder = laid(tmp_path / "robo", f"{name}/_annotations.coco.json", COCO, name)
    (folder / "README.dataset.txt").write_text("exported")
    found, refused = read(folder)
    assert {path: said[::2][:2] for path, said in found.items()} == {
        f"{name}/{file}": (label, split)
        for name, split in (("train", "train"), ("valid", "query"), ("test", "query"))
        for file, label in (("a.png", "person"), ("in/b.png", "dog"), ("c.png", ""))
    }
    assert not refused


def test_fiftyone_writes_labels_without_classes_and_detections_too(tmp_path):
    labels = {
        "labels": {"a": "cat", "in/b": [{"label": "dog", "bounding_box": [0, 0, 0.1, 0.1]}], "c": ["x", "y", "y"]}
    }
    found, _ = read(laid(tmp_path, "labels.json", labels, "data"))
    assert {path: (one[0], one[4]) for path, one in found.items()} == {
        "data/a.png": ("cat", ()), "data/in/b.png": ("dog", ("dog",)), "data/c.png": ("y", ("y", "x")),
    }  # fmt: skip
    found, refused = read(laid(tmp_path, "labels.json", {"classes": ["cat"], "labels": {"a": 1, "z": 0}}, "data"))
    assert (found, refused["data/a.png"]) == ({}, "labels['a']: 1 is no class of this file")
    assert refused["data/z"] == "labels['z']: file not found"


def told(source: Path) -> dict[str, tuple[str, ...]]:
    return {one.path: one.notes for one in open_source(str(source)) if isinstance(one, Item)}


def test_a_list_of_labels_is_several_and_what_is_not_read_is_told(tmp_path):
    lines = [
        {
            "file_name": "a.png",
            "label": ["cat", "dog", "dog"],
            "tags": ["roof", 7],
            "boxes": [1],
            "empty": [],
            "of": None,
        },
        {
            "file_name": "in/b.png",
            "label": {"a": 1},
            "split": ["train"],
            "class": "dog",
            "objects": {"categories": [3]},
        },
        {"file_name": "c.png", "label": "cat", "class": "cat", "tags": ["x" * 61]} | {f"c{n}": n for n in range(22)},
    ]
    folder = laid(tmp_path, "metadata.jsonl", "\n".join(map(json.dumps, lines)))
    found, refused = read(folder)
    assert (found["a.png"], refused) == (("dog", "", "", {}, ("roof", "7", "dog", "cat")), {})
    assert found["in/b.png"][:3] == ("", "", "")
    assert list(found["c.png"][3]) == [f"c{n}" for n in range(20)]
    assert told(folder) == {
        "a.png": ("not read, as lists and objects are not kept: 'boxes'",),
        "in/b.png": (
            "not read, as lists and objects are not kept: 'label', 'split', 'objects'",
            "not read, as another column says it: 'class'",
        ),
        "c.png": (
            "not read, more than 20 columns: 'c20', 'c21'",
            "tags left out: longer than 60 characters, or more than 30",
        ),
    }


def test_what_coco_and_fiftyone_say_and_is_not_read_is_told(tmp_path):
    more = {f"c{n}": n for n in range(21)} | {"tags": ["roof"], "polygon": [[1, 2]]}
    coco = COCO | {"images": [{"id": 7, "file_name": "a.png"} | more]}
    notes = (
        "not read, as lists and objects are not kept: 'polygon'",
        "not read, more than 20 columns: 'c20'",
    )
    assert told(laid(tmp_path / "coco", "annotations.json", coco)) == {"a.png": notes}
    sample = SAMPLES["samples"][0] | more | {"metadata": {"width": 64}}
    of = (
        "its label is that of 'ground_truth'",
        notes[0],
        "not read, more than 20 columns: 'c18', 'c19', 'c20'",
    )
    assert told(laid(tmp_path / "fiftyone", "samples.json", {"samples": [sample]}, "data")) == {"data/a.png": of}


def test_it_is_indexed_by_the_command_and_again_when_it_says_something_else(tmp_path, capsys, embedder):
    folder = laid(tmp_path / "photos", "samples.json", SAMPLES, "data")
    command = ["index", str(folder), "--gallery", "photos", "--library", str(tmp_path / "indexes"), "--json"]

    def indexed() -> tuple[dict[str, int], dict[str, tuple[str, tuple[str, ...]]], Gallery]:
        assert main(command) == 0
        gallery = Library(tmp_path / "indexes").get("photos", embedder)
        records = gallery.records(gallery.snapshot().columns.ids)
        return json.loads(capsys.readouterr().out), {r.path: (r.label, r.tags) for r in records}, gallery

    report, said, gallery = indexed()
    assert (report["added"], report["failed"]) == (3, [])
    assert said == {
        "data/a.png": ("cat", ("night", "roof")), "data/in/b.png": ("dog", ("cat", "dog")), "data/c.png": ("", ()),
    }  # fmt: skip
    with gallery.write() as writer:
        ids = gallery.snapshot().columns.ids.tolist()
        writer.untag(ids, ["night"])
        writer.tag(ids, ["mine"])
    assert indexed()[1]["data/a.png"] == ("cat", ("mine", "roof"))  # what was taken away stays away
    again = json.loads(json.dumps(SAMPLES))
    again["samples"][0] |= {"tags": ["roof", "rain"], "ground_truth": {"_cls": "Classification", "label": "tiger"}}
    again["samples"][1]["things"]["detections"].pop()
    laid(folder, "samples.json", again, "data")
    report, said, _ = indexed()
    assert (report["added"], report["relabelled"]) == (0, 2)
    assert said == {
        "data/a.png": ("tiger", ("mine", "rain", "roof")), "data/in/b.png": ("cat", ("cat", "mine")),
        "data/c.png": ("", ("mine",)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("samples.json", '{"samples": [\n {"filepath": "a.png",}\n]}', r"'samples.json', line 2: no JSON"),
        ("labels.json", "", r"'labels.json', line 1: no JSON"),
        ("annotations.json", "[" * 100_000, r"line 1: JSON that no tool writes"),
        ("annotations.json", '{"images": ' + "9" * 5000 + "}", r"line 1: JSON that no tool writes"),
        ("metadata.jsonl", "\nfile_name: a.png\n", r"'metadata.jsonl', line 2: no JSON object"),
        ("metadata.jsonl", '[{"file_name": "a.png"}]', r"line 1: no JSON object \(but a list\)"),
        ("metadata.jsonl", '{"file_name": "a.png"}' + " " * 2**20, "longer than 1 MiB"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_what_helps(tmp_path, name, text, told):
    laid(tmp_path, name, text)
    with pytest.raises(SourceError, match=told) as raised:
        list(open_source(str(tmp_path)))
    assert f"--exclude {name} reads the folder without it" in str(raised.value)
    assert set(read(tmp_path, exclude=(name,))[0]) == {"a.png", "in/b.png", "c.png"}


def test_bytes_that_are_no_utf_8_are_named_with_their_line(tmp_path):
    laid(tmp_path, "samples.json", "")
    (tmp_path / "samples.json").write_bytes(b'{"samples": [\n\n{"filepath": "\xff"}]}')
    with pytest.raises(SourceError, match="line 3: not UTF-8; save it as UTF-8"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "isic_id,age\n1,2\n"), ("metadata.jsonl", '{"id": 1}\n'), ("labels.json", '["cat", "dog"]'),
        ("samples.json", '{"samples": 3}'), ("annotations.json", '{"images": [], "annotations": {}}'),
        ("notes.json", "{"), ("deep/samples.json", "{"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_changes_nothing(tmp_path, name, text):
    laid(tmp_path, name, text)
    assert {path: one[0] for path, one in read(tmp_path)[0].items()} == {"a.png": "", "in/b.png": "in", "c.png": ""}
    if name.endswith("on") and "deep" not in name:
        with pytest.raises(SourceError, match=r"none of the label files that are read|line 1"):
            open_source(str(tmp_path / name))


def test_what_is_odd_in_it_costs_itself_alone(tmp_path):
    lines = ['{"file_name": "a.png", "label": "x"}', "rubbish", "[]", '{"label": "x"}', '{"file_name": 7}',
             '{"file_name": "gone.png"}', '{"file_name": "a.png"}', '{"file_name": "c.png", "split": "holdout"}',
             json.dumps({"file_name": "in/b.png", "label": "x" * 300}), '{"file_name": "\\u0000"}']  # fmt: skip
    found, refused = read(laid(tmp_path / "lines", "metadata.jsonl", "\n".join(lines)))
    assert list(found) == ["a.png"]
    assert refused == {
        "line 2": "no JSON object (Expecting value); write one a line",
        "line 3": "no JSON object (but a list); write one a line",
        "line 4": "no file_name in this line", "line 5": "no file_name in this line",
        "gone.png": "line 6: file not found", "a.png": "line 7: listed twice; line 1 names it, too",
        "c.png": "line 8: split 'holdout' is none of train, query, index",
        "in/b.png": "line 9: the label has 300 characters, more than 200",
        "\ufffd": "line 10: the path holds a control character",
    }  # fmt: skip
    odd = {
        "images": [7, {"id": 1}, {"id": 2, "file_name": "a.png"}], "categories": [3, {"id": 1, "name": 5}],
        "annotations": ["x", {"image_id": 2, "category_id": 1, "bbox": "wide", "area": -5}, {"image_id": []}],
    }  # fmt: skip
    found, refused = read(laid(tmp_path / "coco", "annotations.json", odd))
    assert found == {"a.png": ("", "", "", {}, ())}
    assert refused["images[0]"] == refused["images[1]"].replace("[1]", "[0]")
    notes = [one.notes for one in open_source(str(tmp_path / "coco")) if isinstance(one, Item)]
    assert notes == [("1 annotations name a category that is not there",)]
    samples = {"samples": [None, {"filepath": ["a"]}, {"filepath": "a.png", "tags": "no list", "x": {"_cls": []}}]}
    found, refused = read(laid(tmp_path / "samples", "samples.json", samples))
    assert (list(found), refused["samples[1]"]) == (
        ["a.png"], "it has no filepath; export it with export_media=True",
    )  # fmt: skip


WORDS = st.sampled_from(
    "images annotations categories samples labels classes id image_id category_id file_name filepath name _cls "
    "Detections detections label bbox area a.png a tags ground_truth objects supercategory".split()
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(WORDS, ANYTHING, max_size=6), st.sampled_from(label_files.FORMATS))
def test_whatever_it_says_is_no_defect(document, form):
    beside = {"COCO": {"images": [document], "annotations": [document], "categories": [document]}}
    whole = beside.get(form.name, {}) | {"samples": [document], "labels": document | {"a": document}}
    for one in (document, whole):
        if form.takes(one):
            assert all(isinstance(said, label_files.Described) for said in form.read(one, "labels"))
    described = label_files.described_by_line("line 1", json.dumps(document).encode())
    assert described.problem or described.paths


@pytest.mark.parametrize("path", ["../secret.png", "/{folder}/secret.png", "in/../../secret.png", "out/secret.png"])
@pytest.mark.parametrize("form", ["metadata.jsonl", "samples.json", "annotations.json", "labels.json", "metadata.csv"])
def test_no_path_leads_out_of_the_folder(tmp_path, form, path):
    (tmp_path / "secret.png").write_bytes(DISC)
    path = path.format(folder=tmp_path)
    said = {
        "metadata.jsonl": json.dumps({"file_name": path}), "metadata.csv": f"file_name\n{path}\n",
        "samples.json": {"samples": [{"filepath": path}]}, "labels.json": {"labels": {f"../{path[:-4]}": "x"}},
        "annotations.json": {**COCO, "images": [{"id": 1, "file_name": path}]},
    }[form]  # fmt: skip
    folder = laid(tmp_path / "photos", form, said)
    (folder / "out").symlink_to(tmp_path)
    found, refused = read(folder)
    assert not found
    whys = ("path leaves the folder", "symbolic link, not followed", "file not found")
    assert any(reason.endswith(whys) or "symbolic link" in reason for reason in refused.values())


def test_strangers_may_upload_some_but_not_too_much(tmp_path, monkeypatch):
    folder = laid(tmp_path / "photos", "samples.json", SAMPLES, "data")
    limited = Options(keep=True, max_rows=2, max_seconds=20.0)
    found = list(open_source(str(folder), options=limited))
    assert next(one.reason for one in found if isinstance(one, Skipped)).startswith("more than 2 rows")
    monkeypatch.setattr(sidecars, "MAX_BYTES_OF_STRANGERS", 100)
    with pytest.raises(SourceError, match="larger than 0 MiB; split it"):
        open_source(str(folder), options=limited)
    staged = uploads.open_staged(folder / "samples.json", stranger=False)
    assert sum(isinstance(one, Item) for one in staged) == 3
