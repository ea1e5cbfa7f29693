"""Galleries as other programs read them, read back by those programs, and pages that can be mailed."""

import csv
import io
import json
import re
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from unifex.cli.main import main
from unifex.core.errors import UnifexError
from unifex.core.progress import finish
from unifex.exports import embedding_atlas, export, hub_dataset, projector
from unifex.exports.export import MARK
from unifex.exports.formats import FORMATS, format_named
from unifex.exports.hub_card import split_names
from unifex.exports.names import MISSING, Names
from unifex.exports.selection import Selection
from unifex.gallery.corrections import relabel
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.maps.projection import Map
from unifex.models import hub

EVIL = '<script>alert("1")</script>'


@pytest.fixture(scope="module")
def made(tmp_path_factory, embedder):
    """A gallery of a dozen pictures in two splits: one has tags, one an evil label, one was corrected."""
    root = tmp_path_factory.mktemp("exports")
    write_folder(root / "pictures", views=3, side=64)
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    with (root / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "domain", "split", "artist", "day"])
        for path in paths:
            _, domain, label, name = path.split("/")
            split, day = ("query", "") if name == "0.png" else ("index", "2021-03-02")
            rows.writerow([path, label, domain, split, "Ann\tB" if "1" in name else "", day])
    gallery = Gallery.create(root / "indexes" / "drawn", embedder)
    run_index(gallery, root / "items.csv")
    item = lambda path: gallery.item_at(f"pictures/{path}")  # noqa: E731
    with gallery.write() as writer:
        writer.tag([item("shapes/disc/0.png").id], ["best", "old"])
        writer.correct([relabel(item("signs/cross/2.png"), EVIL), relabel(item("signs/cross/1.png"), "disc")])
    return gallery


@pytest.fixture
def exported(made, tmp_path):
    """Exports to a format, and gives the place and what was told of it."""

    def run(name: str, **chosen):
        told = finish(export.export(Selection.of(made, **chosen), FORMATS[name], tmp_path / name))
        return tmp_path / name, told

    return run


def test_a_table(exported):
    place, told = exported("csv")
    rows = list(csv.DictReader(io.StringIO(place.read_bytes().decode("utf-8-sig"))))
    assert (told.items, told.bytes, len(rows)) == (12, place.stat().st_size, 12)
    assert list(rows[0]) == ["path", "label", "domain", "split", "tags", "artist", "day"]
    best = next(row for row in rows if row["tags"])
    assert (best["path"], best["label"], best["split"]) == ("pictures/shapes/disc/0.png", "disc", "query")


def test_what_further_columns_say_is_the_owners(made):
    table = b"".join(export.sent(Selection.of(made, further=False), FORMATS["csv"])).decode("utf-8-sig")
    assert table.splitlines()[0] == "path,label,domain,split,tags"
    assert "2021-03-02" not in table


def test_a_data_set_is_what_datasets_loads(exported, made, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_dataset, "GROUP_ROWS", 3)
    monkeypatch.setattr(hub_dataset, "SHARD_BYTES", 1)
    place, _ = exported("dataset", dim=64)
    assert len(list(place.glob("data/index-*.parquet"))) == 3
    from datasets import load_dataset

    loaded = load_dataset(str(place), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"index": 8, "query": 4}
    best = next(row for row in loaded["query"] if row["tags"])
    assert (best["tags"], best["label"], best["domain"]) == (["best", "old"], "disc", "shapes")
    assert best["image"].size == (64, 64)
    snapshot = made.snapshot()
    at = snapshot.columns.ids.tolist().index(made.item_at(best["path"]).id)
    assert np.array_equal(np.float32(best["embedding"]), made.index_of(snapshot, 64).embeddings[at])
    as_parquet = load_dataset("parquet", data_files=f"{place}/data/query*", cache_dir=str(tmp_path / "cache"))["train"]
    assert isinstance(as_parquet[0]["image"], Image.Image)


def test_an_image_folder_is_what_datasets_and_torchvision_load(exported, tmp_path):
    place, _ = exported("imagefolder")
    from datasets import load_dataset
    from torchvision.datasets import ImageFolder

    loaded = load_dataset(str(place), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"index": 8, "query": 4}
    best = next(row for row in loaded["query"] if row["tags"])
    assert (best["tags"], loaded["index"][0]["day"].strip()) == ("best, old", "2021-03-02")
    assert (best["label"], best["path"], best["image"].size) == ("disc", "pictures/shapes/disc/0.png", (64, 64))
    folder = ImageFolder(place / "index")
    assert len(folder) == 8
    assert {"shapes - disc", "signs - disc"} < set(folder.classes)


def test_names_of_splits(made, few):
    assert split_names(Selection.of(made)) == {"index": "index", "query": "query"}
    assert split_names(Selection.of(few)) == {"": "train"}
    odd = replace(Selection.of(few))
    odd.__dict__["splits"] = ["", "a b", "a.b", "unsplit"]
    assert split_names(odd) == {"": "unsplit", "a b": "a_b", "a.b": "a_b_2", "unsplit": "unsplit_3"}


def test_coco_has_labels_of_whole_pictures(exported):
    place, _ = exported("coco")
    told = json.loads((place / "annotations" / "instances_index.json").read_text())
    names = {one["id"]: (one["supercategory"], one["name"]) for one in told["categories"]}
    assert Counter(name for _, name in names.values()) == {
        "shapes/disc": 1, "signs/disc": 1, "square": 1, "cross": 1, "stripes": 1, EVIL: 1,
    }  # fmt: skip
    assert len(told["images"]) == len(told["annotations"]) == 8
    images = {image["id"]: image for image in told["images"]}
    for one in told["annotations"]:
        image = images[one["image_id"]]
        assert (one["bbox"], one["area"], one["iscrowd"]) == ([0, 0, 64, 64], 4096, 0)
        assert Image.open(place / "images" / image["file_name"]).size == (image["width"], image["height"])
        assert names[one["category_id"]][0] == image["domain"]


def test_what_is_exported_with_its_images_is_read_back_as_it_was(exported, made, embedder, tmp_path):
    """Labels as they were corrected, of which two domains have the same; domains, splits and tags."""
    was = {record.sha256: record for record in made.records(made.snapshot().columns.ids)}
    for name in ("coco", "imagefolder", "fiftyone"):
        place, _ = exported(name)
        back = Gallery.create(tmp_path / "back" / name, embedder)
        report = run_index(back, place)
        again = {record.sha256: record for record in back.records(back.snapshot().columns.ids)}
        assert (set(again), report.failed) == (set(was), []), name
        for sha256, record in again.items():
            labels, before = record.labels, was[sha256].labels
            assert (labels.label, labels.domain, labels.split) == (before.label, before.domain, before.split), name
            assert set(record.tags) == set(was[sha256].tags), name
            assert labels.extra["artist"] == before.extra["artist"] if "artist" in before.extra else True


def test_coco_is_what_pycocotools_loads(exported):
    coco = pytest.importorskip("pycocotools.coco")
    place, _ = exported("coco")
    loaded = coco.COCO(place / "annotations" / "instances_query.json")
    (cross,) = loaded.getImgIds(catIds=loaded.getCatIds(catNms=["cross"]))
    assert loaded.loadImgs([cross])[0]["path"] == "pictures/signs/cross/0.png"
    assert loaded.annToMask(loaded.loadAnns(loaded.getAnnIds([cross]))[0]).all()


def test_fiftyone_has_a_sample_an_item(exported):
    """As its importer reads it that takes no database's own dump; checked with fiftyone 1.22."""
    place, _ = exported("fiftyone")
    metadata = json.loads((place / "metadata.json").read_text())
    assert "version" not in metadata
    assert metadata["media_type"] == "image"
    samples = json.loads((place / "samples.json").read_text())["samples"]
    assert len(samples) == 12
    assert all(Image.open(place / sample["filepath"]).size == (64, 64) for sample in samples)
    best = next(sample for sample in samples if "best" in sample["tags"])
    assert best["tags"] == ["query", "best", "old"]
    assert best["ground_truth"] == {"_cls": "Classification", "label": "shapes/disc", "tags": []}
    assert best["metadata"] == {
        "_cls": "ImageMetadata", "size_bytes": (place / best["filepath"]).stat().st_size, "width": 64, "height": 64,
        "mime_type": "image/png",
    }  # fmt: skip
    assert {sample["artist"] for sample in samples} == {"", "Ann B"}


def test_columns_that_mean_something_to_fiftyone_are_called_otherwise(tmp_path, embedder):
    write_folder(tmp_path / "pictures", views=1, side=64)
    paths = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
    rows = [f"{path},oil,7" for path in paths]
    (tmp_path / "items.csv").write_text("\n".join(["path,media_type,id", *rows]))
    gallery = Gallery.create(tmp_path / "indexes/drawn", embedder)
    run_index(gallery, tmp_path / "items.csv")
    finish(export.export(Selection.of(gallery), FORMATS["fiftyone"], tmp_path / "out"))
    for sample in json.loads((tmp_path / "out/samples.json").read_text())["samples"]:
        assert (sample["extra_media_type"], sample["extra_id"]) == ("oil", "7")
        assert not {"media_type", "id"} & sample.keys()


def test_embedding_atlas_has_places_neighbours_and_thumbnails(exported, made, monkeypatch):
    from pyarrow import parquet

    ids = made.snapshot().columns.ids
    coords = np.column_stack([ids, -ids]).astype(np.float32)

    def project(gallery):
        yield from ()
        return Map(ids, coords, "drawn")

    monkeypatch.setattr(embedding_atlas, "project", project)
    chosen = ids[2:10].tolist()
    place, told = exported("atlas", ids=chosen)
    assert told.items == 8
    rows = parquet.read_table(place).to_pylist()
    assert [row["x"] for row in rows] == chosen
    near = made.neighbours()[1]
    for number, row in enumerate(rows):
        kept = [int(one) for one in near.positions[number + 2] if 2 <= one < 10]
        assert row["neighbors"]["ids"] == [one - 2 for one in kept]
        assert row["neighbors"]["distances"] == sorted(row["neighbors"]["distances"])
        assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (64, 64)


def test_the_projector_has_a_row_and_a_square_an_item(exported, made):
    place, _ = exported("projector", dim=64)
    tensors = np.loadtxt(place / "tensors.tsv", dtype=np.float32, delimiter="\t")
    assert np.allclose(tensors, made.index_of(made.snapshot(), 64).embeddings, atol=1e-5)
    lines = (place / "metadata.tsv").read_text().splitlines()
    assert (len(lines), lines[0]) == (13, "label\tpath\tdomain\tsplit\ttags\tartist\tday")
    assert {line.count("\t") for line in lines} == {6}
    assert Image.open(place / "sprite.png").size == (4 * 64, 4 * 64)
    config = (place / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "tensors.tsv"' in config
    assert "single_image_dim: 64 single_image_dim: 64" in config


def test_the_projector_is_what_tensorboard_loads(exported):
    pytest.importorskip("tensorboard")
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    place, _ = exported("projector", dim=64)
    (told,) = text_format.Parse((place / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings
    assert (told.tensor_name, list(told.sprite.single_image_dim)) == ("drawn", [64, 64])


@pytest.mark.parametrize(("count", "side"), [(1, 64), (16_384, 64), (100_000, 25), (1_000_000, 8), (2_000_000, 0)])
def test_a_sprite_is_no_larger_than_textures_are(count, side, monkeypatch):
    monkeypatch.setattr(projector.Image, "new", lambda mode, size, colour: size)
    sprite = projector._Sprite(count)
    assert sprite.side == side
    assert sprite.image[0] <= projector.WIDEST
    assert sprite.columns**2 >= count


def assert_self_contained(page: str) -> None:
    assert not re.search(r"<script|https?://|<link|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert set(re.findall(r'src="([^,]*),', page)) == {"data:image/jpeg;base64"}


def test_a_page_of_items(exported):
    place, _ = exported("html")
    page = place.read_text()
    assert_self_contained(page)
    assert "&lt;script&gt;alert(" in page
    assert page.count("<img ") == 12


def test_only_what_was_corrected_with_what_the_source_says(exported):
    place, told = exported("csv", corrected=True)
    rows = list(csv.DictReader(io.StringIO(place.read_bytes().decode("utf-8-sig"))))
    assert {(row["label"], row["source_label"]) for row in rows} == {(EVIL, "cross"), ("disc", "cross")}
    assert told.items == 2


@pytest.fixture
def few(tmp_path, embedder):
    """A gallery of four pictures, of which one file is gone, and one with its thumbnail."""
    write_folder(tmp_path / "pictures", views=1, side=64)
    gallery = Gallery.create(tmp_path / "indexes" / "few", embedder)
    run_index(gallery, tmp_path / "pictures")
    (tmp_path / "pictures/shapes/disc/0.png").unlink()
    lost = gallery.item_at("signs/cross/0.png")
    (tmp_path / "pictures/signs/cross/0.png").unlink()
    gallery.database.thumbnail_paths(lost.sha256)[0].unlink()
    return gallery


@pytest.mark.parametrize(
    ("images", "items", "stand_ins"), [("originals", 3, 1), ("only-originals", 2, 0), ("thumbnails", 3, 0)]
)
def test_originals_that_are_gone(few, tmp_path, images, items, stand_ins):
    told = finish(export.export(Selection.of(few, images=images), FORMATS["imagefolder"], tmp_path / "out"))
    assert (told.items, told.stand_ins, told.left_out) == (items, stand_ins, 4 - items)
    assert (tmp_path / "out" / MISSING).read_text().count("\n") == 4 - items
    pictures = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("0.*")]
    assert ("shapes - disc/0.jpg" in pictures) == (images != "only-originals")
    lines = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["file_name"] for line in lines) == sorted(pictures)


def test_an_export_is_whole_or_as_it_was_before(few, tmp_path):
    selection, out = Selection.of(few), tmp_path / "made" / "out"
    work = export.export(selection, FORMATS["files"], out)
    next(work), next(work)
    work.close()
    assert list(out.parent.iterdir()) == []
    finish(export.export(selection, FORMATS["files"], out))
    before = sorted(out.rglob("*"))
    with pytest.raises(GalleryError, match="is there already"):
        finish(export.export(selection, FORMATS["files"], out))
    work = export.export(Selection.of(few, images="thumbnails"), FORMATS["files"], out, replace=True)
    next(work), next(work)
    work.close()
    assert (sorted(out.rglob("*")), list(out.parent.iterdir())) == (before, [out])
    finish(export.export(Selection.of(few, images="thumbnails"), FORMATS["files"], out, replace=True))
    assert (out / "signs/stripes/0.jpg").is_file()
    assert list(out.parent.iterdir()) == [out]
    (out / MARK).unlink()
    with pytest.raises(GalleryError, match="no export made that folder"):
        finish(export.export(selection, FORMATS["files"], out, replace=True))
    with pytest.raises(GalleryError, match="csv is a file"):
        finish(export.export(selection, FORMATS["csv"], out, replace=True))
    table = tmp_path / "table.csv"
    table.write_text("before")
    with pytest.raises(GalleryError, match="is there already"):
        finish(export.export(selection, FORMATS["csv"], table))
    with pytest.raises(GalleryError, match="files is a folder"):
        finish(export.export(selection, FORMATS["files"], table, replace=True))
    work = export.export(selection, FORMATS["csv"], table, replace=True)
    next(work)
    work.close()
    assert table.read_text() == "before"
    finish(export.export(selection, FORMATS["csv"], table, replace=True))
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == 5


def test_a_link_to_an_export_stays_one_and_ones_own_folder_is_no_place(few, tmp_path, monkeypatch):
    out, link = tmp_path / "made" / "out", tmp_path / "link"
    finish(export.export(Selection.of(few), FORMATS["files"], out))
    link.symlink_to(out)
    finish(export.export(Selection.of(few, images="thumbnails"), FORMATS["files"], link, replace=True))
    assert link.is_symlink()
    assert (out / "signs/stripes/0.jpg").is_file()
    assert list(out.parent.iterdir()) == [out]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(GalleryError, match="the folder that you are in"):
        finish(export.export(Selection.of(few), FORMATS["files"], Path(".")))


def test_what_cannot_be_exported(made, few):
    with pytest.raises(GalleryError, match=r"no format 'coc'; .*coco"):
        format_named("coc")
    with pytest.raises(GalleryError, match="nothing to export"):
        Selection.of(made, [10**9])
    with pytest.raises(GalleryError, match="nothing to export"):
        Selection.of(few, corrected=True)
    with pytest.raises(UnifexError):
        Selection.of(made, dim=3)


def test_names_are_safe_and_unique():
    names = Names()
    assert names.free(("..", "../a.png"), ".png") == "_a.png"
    assert names.free(("/etc", "a.png"), ".png") == "_etc/a.png"
    assert names.free(("etc", "A.png"), ".png") == "etc/A.png"
    assert names.free(("etc", "a.png"), ".png") == "etc/a (1).png"
    assert names.free(("etc", "a.png"), ".jpg") == "etc/a.jpg"
    assert names.free((MISSING,), ".txt") != MISSING
    long = names.free(("x" * 300, 'con"?.png'), ".png")
    assert all(len(part) <= 100 and '"' not in part for part in long.split("/"))
    written = names.free(("猫" * 120, "犬" * 120 + ".png"), ".png").split("/")
    assert all(100 < len(part.encode()) < 255 for part in written)
    assert names.free(("Con", "nul.tar.png"), ".png") == "Con_/nul_.tar.png"  # devices of Windows
    assert names.free(("console", "com.png"), ".png") == "console/com.png"
    assert [names.free(("", "b.png"), ".png") for _ in range(3)] == ["b.png", "b (1).png", "b (2).png"]
    assert names.free(("B.png", "c", "d.png"), ".png") == "B.png (1)/c/d.png"  # a folder is called as a file is
    assert names.free(("b.png", "e.png"), ".png") == "b.png (1)/e.png"
    assert names.free(("b.png (1)", "e.png"), ".png") == "b.png (1) (1)/e.png"
    assert names.free(("f.png", "x.png"), ".png") == "f.png/x.png"
    assert names.free(("F.png",), ".png") == "F (1).png"


@pytest.mark.parametrize("format", ["files", "coco", "fiftyone"])
@pytest.mark.parametrize("sources", ["ab", "ba"])
def test_a_file_of_one_source_is_called_as_a_folder_of_another(format, sources, tmp_path, embedder):
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "x.png").mkdir(parents=True)
    for view, path in enumerate(("a/x.png", "b/x.png/y.png")):
        (tmp_path / path).write_bytes(encoded(picture("signs/cross", view)))
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    for source in sources:
        run_index(gallery, tmp_path / source)
    finish(export.export(Selection.of(gallery), FORMATS[format], tmp_path / "out"))
    (tmp_path / "sent.zip").write_bytes(b"".join(export.sent(Selection.of(gallery), FORMATS[format])))
    zipfile.ZipFile(tmp_path / "sent.zip").extractall(tmp_path / "unpacked")
    for folder in ("out", "unpacked"):
        assert sum(path.is_file() for path in (tmp_path / folder).rglob("*.png")) == 2


@pytest.fixture
def unifex(made, monkeypatch, capsys):
    """Runs a command on the library of ``made``: (exit code, JSON or text, stderr)."""
    monkeypatch.setenv("UNIFEX_LIBRARY", str(made.folder.parent))

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and out else out, err

    return run


NAMES = "train-00000.parquet", "a-b-00012.parquet", "train-00000-of-00001.parquet", "x/y-00000.parquet"


def test_the_command(unifex, tmp_path, monkeypatch):
    out = tmp_path / "out"
    query = ["export-gallery", "drawn", "--split", "query"]
    code, told, _ = unifex(*query, "--label", "disc", "--to", "coco", "--out", out, "--images", "thumbnails", "--json")
    assert (code, told["items"], told["left_out"], told["format"]) == (0, 1, 0, "coco")
    assert (out / "images/pictures/shapes/disc/0.jpg").is_file()
    _, text, _ = unifex(*query, "--to", "csv", "--out", tmp_path / "table.csv")
    assert "4 items" in text
    _, told, _ = unifex(
        "export-gallery", "drawn", "--item", "pictures/signs/cross/0.png", "--to", "html", "--out", tmp_path / "a.html",
        "--json",
    )  # fmt: skip
    assert told["items"] == 1
    for arguments, reason in (
        (["--to", "csv", "--images", "thumbnails", "--out", tmp_path / "b"], "holds no image files"),
        (["--to", "coco", "--out", "hf:owner/name"], "--to dataset"),
        (["--to", "dataset", "--out", "hf:no such/name"], "no repository of the hub"),
        (["--to", "csv", "--out", tmp_path / "c", "--label", "nothing"], "no label 'nothing'"),
        (["--to", "csv", "--out", out], "csv is a file"),
    ):
        code, _, err = unifex("export-gallery", "drawn", *arguments)
        assert (code > 0, reason in err) == (True, True), err
    pushed = []
    monkeypatch.setattr(hub, "check_push", lambda *_: None)
    monkeypatch.setattr(hub, "push", lambda folder, *rest: pushed.append((sorted(folder.rglob("*.parquet")), *rest)))
    assert unifex(*query, "--to", "dataset", "--out", "hf:owner/name")[0] == 0
    ((shards, *told),) = pushed
    ours = hub_dataset.SHARDS
    assert (len(shards), *told) == (1, "owner/name", "dataset", True, ours, ".unifex-export.json")
    assert [ours.fullmatch(f"data/{name}") is not None for name in NAMES] == [True, True, False, False]


def test_hits_as_a_page(unifex, made, tmp_path):
    image = made.folder.parent.parent / "pictures/signs/cross/0.png"
    code, text, err = unifex("search", image, "--gallery", "drawn", "-k", "3", "--out", tmp_path / "hits.html")
    assert code == 0, err
    page = (tmp_path / "hits.html").read_text()
    assert_self_contained(page)
    assert page.count("<img ") == 4
    assert "3 hits in 12 items" in page
    assert "<i>query</i><b>0.png</b>" in page
    assert f"the hits are in {tmp_path / 'hits.html'}" in text


def test_near_copies_as_a_page(unifex, tmp_path):
    code, told, _ = unifex(
        "duplicates", "--gallery", "drawn", "--level", "alike", "--out", tmp_path / "d.html", "--json"
    )
    assert code == 0
    assert told["groups"]
    page = (tmp_path / "d.html").read_text()
    assert_self_contained(page)
    assert page.count("<section>") == len(told["groups"])
    assert page.count("<i>keep</i>") == len(told["groups"])


def test_an_image_folder_says_what_torchvision_passes_over(tmp_path, folder, embedder, capsys):
    for number in range(2):
        Image.new("RGB", (64, 64), (90 * number, 30, 60)).save(folder / f"shapes/disc/{number}.gif")
    library = tmp_path / "indexes"
    run_index(Gallery.create(library / "mixed", embedder), folder)
    told = {}
    for images in ("originals", "thumbnails"):
        command = ["export-gallery", "mixed", "--to", "imagefolder", "--images", images, "--library", library, "--json"]
        assert main([*map(str, command), "--out", str(tmp_path / images)]) == 0
        told[images] = json.loads(capsys.readouterr().out)["notes"]
    (note,) = told["originals"]
    assert "torchvision does not read 2 images" in note
    assert "--images thumbnails" in note
    assert told["thumbnails"] == []
