"""Readers of public data sets, on miniature trees of exactly the shape that upstream documents."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.support.drawing import encoded, picture
from tests.support.galleries import run_index
from tests.support.public_trees import TREES, write
from unifex.cli.main import main
from unifex.core.progress import finish
from unifex.data import locations
from unifex.data.curation import Curated, Rule, choose, curate
from unifex.data.item import Labels, Skipped, SourceError
from unifex.data.public_datasets import DATASETS, Row
from unifex.data.sources import open_source
from unifex.gallery.gallery import Gallery


def found(source) -> list[tuple[str, str]]:
    return [(item.path, item.label) for item in source]


def test_every_set_of_the_public_code_is_there():
    assert set(TREES) == set(DATASETS)


@pytest.mark.parametrize("key", TREES)
def test_a_miniature_tree_is_read_as_documented(key, tmp_path):
    source = open_source(f"m4d:{write(tmp_path, key)}?sets={key}")
    items = list(source)
    assert not [item for item in items if isinstance(item, Skipped)]
    assert found(items) == TREES[key][1]
    assert source.count() == len(items)
    assert {item.domain for item in items} <= {part.strip() for part in DATASETS[key].domain.split(",")}
    assert all(item.read() for item in items)
    assert found(open_source(source.spec)) == found(items)  # its own text opens it again


def test_m4d_is_the_default_and_knows_its_domains(tmp_path):
    items = list(open_source(f"m4d:{write(tmp_path, 'm4d_35k')}"))
    assert [item.domain for item in items] == ["packaged goods"] * 2 + ["landmarks", "apparel", "cars"]


def test_several_sets_make_one_gallery(tmp_path, embedder):
    data = write(tmp_path / "data", "products_10k", "met_art", "food_rec22", "deep_fashion2")
    gallery = Gallery.create(tmp_path / "indexes" / "public", embedder)
    report = run_index(gallery, f"m4d:{data}?sets=products_10k,met_art,food_rec22,deep_fashion2")
    assert (report.items, report.failed) == (6, [])
    assert set(gallery.facts().domains) == {"packaged goods", "artwork", "dishes", "apparel"}
    again = run_index(gallery, f"m4d:{data}?sets=products_10k,met_art,food_rec22,deep_fashion2")
    assert (again.added, again.skipped) == (0, 6)


def test_a_folder_beside_is_known_from_elsewhere_too(tmp_path, embedder, monkeypatch):
    gallery = Gallery.create(tmp_path / "indexes" / "public", embedder)
    data = write(tmp_path / "data", "food_rec22")
    monkeypatch.chdir(tmp_path)
    run_index(gallery, "m4d:data?sets=food_rec22")
    assert locations.known_as("m4d:data?sets=food_rec22", []) == f"m4d:{data}?sets=food_rec22"
    monkeypatch.chdir("/")
    (source,) = gallery.sources()
    assert source.spec == f"m4d:{data}?sets=food_rec22"
    assert run_index(gallery, source.spec).added == 0


def test_crops_are_the_box_and_two_percent_more(tmp_path):
    import io

    source = open_source(f"m4d:{write(tmp_path, 'food_rec22')}?sets=food_rec22")
    box, whole = (Image.open(io.BytesIO(item.read())) for item in source)
    assert box.size == (104, 52)  # 100 x 50 and 2 % on both sides
    assert whole.size == (160, 160)  # not beyond the image


def test_preprocessed_crops_come_before_annotations(tmp_path):
    write(tmp_path, "food_rec22", "deep_fashion2")
    for folder in ("fr22_train_v2", "deep_fashion2"):
        (tmp_path / folder / "preprocessed_imgs" / "5").mkdir(parents=True)
        (tmp_path / folder / "preprocessed_imgs" / "5" / "a.jpg").write_bytes(
            encoded(picture("signs/cross", 1), "JPEG")
        )
        (tmp_path / folder / "train.csv").write_text("img_path,label\npreprocessed_imgs/5/a.jpg,5\n")
    paths = [item.path for item in open_source(f"m4d:{tmp_path}?sets=food_rec22,deep_fashion2")]
    assert paths == ["fr22_train_v2/preprocessed_imgs/5/a.jpg", "deep_fashion2/preprocessed_imgs/5/a.jpg"]


@pytest.mark.parametrize("name", ["fashion200k_train.csv", "train.csv"])
def test_documented_variants_of_names_are_taken(tmp_path, name):
    data = write(tmp_path, "fashion200k")
    (data / "fashion200k" / "fashion200k_train.csv").rename(data / "fashion200k" / name)
    assert found(open_source(f"m4d:{data}?sets=fashion200k")) == TREES["fashion200k"][1]


def test_kaggles_folder_within_the_folder(tmp_path):
    data = write(tmp_path, "stanford_cars")
    inner = data / "stanford_cars" / "cars_train" / "cars_train"
    inner.mkdir()
    (data / "stanford_cars/cars_train/00001.jpg").rename(inner / "00001.jpg")
    assert [item.path for item in open_source(f"m4d:{data}?sets=stanford_cars")] == [
        "stanford_cars/cars_train/cars_train/00001.jpg"
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_other_separators_and_a_byte_order_mark(tmp_path, separator, mark):
    data = write(tmp_path, "products_10k")
    text = TREES["products_10k"][0]["products-10k/train.csv"].replace(",", separator)
    (data / "products-10k/train.csv").write_text(mark + text, encoding="utf-8")
    assert found(open_source(f"m4d:{data}?sets=products_10k")) == TREES["products_10k"][1]


def test_a_spreadsheet_that_took_the_zero_away(tmp_path):
    data = write(tmp_path, "hm")
    (data / "hm_personalized_fashion/articles.csv").write_text("article_id,product_code\n108775015,108775\n")
    assert [item.path for item in open_source(f"m4d:{data}?sets=hm")] == [TREES["hm"][1][0][0]]


@pytest.mark.parametrize(
    ("key", "file", "content", "sentence"),
    [
        (
            "products_10k",
            "products-10k/train.csv",
            "file,sku\n1.jpg,4\n",
            "no column 'name' or 'img_path'.*found: file, sku",
        ),
        ("products_10k", "products-10k/train.csv", "name,class\n1.jpg\n", "train.csv, line 2: 1 cells, not 2"),
        ("products_10k", "products-10k/train.csv", "", "found: nothing"),
        ("m4d_35k", "m4d-35k_train.csv", "img_path,label\nelsewhere/1.jpg,4\n", "'elsewhere/1.jpg' is in none of"),
        ("deep_fashion", "deepfashion/deepfashion_train.json", '{"a": ["b"]}', "group -> id -> paths"),
        ("met_art", "met_dataset/ground_truth/MET_database.json", '[{"id": 1}]', "entry 0 has no 'id' and 'path'"),
        ("met_art", "met_dataset/ground_truth/MET_database.json", "[{", "MET_database.json cannot be read"),
        ("food_rec22", "fr22_train_v2/annotations.json", '{"images": []}', "not in COCO's format"),
        ("deep_fashion2", "deep_fashion2/annos/000001.json", '{"item1": {}}', "annos/000001.json: item1"),
    ],
)
def test_a_file_that_is_wrong_gives_one_clear_line(tmp_path, key, file, content, sentence):
    data = write(tmp_path, key)
    (data / file).write_text(content)
    with pytest.raises(SourceError, match=sentence) as caught:
        list(open_source(f"m4d:{data}?sets={key}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?sets=imagenet", "no data set 'imagenet'; there are: m4d_35k, products_10k"),
        (
            "?sets=gldv2",
            "Google Landmarks v2 is not in .*google_landmark_recognition_2021/train.* missing; get it at https",
        ),
        ("?sets=shopee&size=3", "knows no 'size'.*classes, min_images, max_images, seed"),
        ("?sets=shopee&classes=many", "m4d: invalid literal"),
        ("?sets=shopee&most=1&least=2", "not above max_images"),
    ],
)
def test_a_spec_that_is_wrong_says_what_is_right(tmp_path, query, sentence):
    with pytest.raises(SourceError, match=sentence):
        open_source(f"m4d:{write(tmp_path, 'shopee')}{query}")


def test_what_is_missing_or_outside_is_refused_item_by_item(tmp_path):
    data = write(tmp_path / "data", "products_10k")
    (data / "products-10k/train/1.jpg").unlink()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    with (data / "products-10k/train.csv").open("a") as file:
        file.write("../../../secret.jpg,6,1\n2.jpg,5,1\n")
    refused = [entry for entry in open_source(f"m4d:{data}?sets=products_10k") if isinstance(entry, Skipped)]
    reasons = [entry.reason for entry in refused]
    assert reasons == ["file not found", "path leaves the data folder", "listed twice"]


def rows() -> list[Row]:
    """Three domains with classes of 1 to 12 images."""
    return [
        Row(f"{domain}/{label}/{view}", Labels(str(label), domain))
        for domain in ("cars", "dishes", "toys") for label in range(12) for view in range(label + 1)
    ]  # fmt: skip


def test_a_rule_takes_what_it_says():
    taken = choose(rows(), Rule(("cars", "toys"), classes=5, min_images=3, max_images=6, seed=1))
    sizes = Counter((row.domain, row.label) for row in taken)
    assert Counter(domain for domain, _ in sizes) == {"cars": 5, "toys": 5}
    assert all(3 <= size <= 6 for size in sizes.values())
    assert all(size == min(6, int(label) + 1) for (_, label), size in sizes.items())
    assert taken == sorted(taken, key=rows().index)
    assert taken == choose(rows(), Rule(("cars", "toys"), classes=5, min_images=3, max_images=6, seed=1))
    assert taken != choose(rows(), Rule(("cars", "toys"), classes=5, min_images=3, max_images=6, seed=2))


def test_a_sample_is_a_source(tmp_path):
    data = write(tmp_path, "food101", "furniture180")
    for number in range(5):
        (data / f"food-101/images/pizza/{number}.jpg").write_bytes(encoded(picture("signs/cross", number), "JPEG"))
    (data / "food-101/meta/test.json").write_text(
        json.dumps({"pizza": [f"pizza/{n}" for n in range(5)], "ramen": ["ramen/3"]})
    )
    source = open_source(f"m4d:{data}?sets=food101,furniture180&least=1&most=2&classes=1&domains=dishes&seed=3")
    assert source.count() in (1, 2)
    assert {item.domain for item in source} == {"dishes"}


def test_a_curated_manifest_is_a_source_without_copies(tmp_path):
    data = write(tmp_path / "data", "food_rec22", "rp2k")
    copies = data / "rp2k/train/cola"
    for number in range(2, 6):
        (copies / f"{number}.jpg").write_bytes(encoded(picture("signs/cross", number), "JPEG"))
    (copies / "copy.jpg").write_bytes((copies / "2.jpg").read_bytes())
    (copies / "wrong.jpg").write_bytes((copies / "3.jpg").read_bytes())  # the same bytes under another label
    lines = ["img_path,img_id", *(f"cola/{n}.jpg,12" for n in (1, 2, 3, 4, 5, "copy", "none")), "cola/wrong.jpg,13"]
    (data / "rp2k/train.csv").write_text("\n".join(lines))
    out = tmp_path / "made" / "mine.csv"
    made = finish(curate(open_source(f"m4d:{data}?sets=rp2k,food_rec22"), Rule(), out))
    assert isinstance(made, Curated)
    with out.open() as file:
        listed = list(csv.DictReader(file))
    kept = [row["path"] for row in listed if row["domain"] == "packaged goods"]
    assert [Path(path).name for path in kept] == ["1.jpg", "2.jpg", "4.jpg", "5.jpg"]
    assert (made.images, made.copies) == (6, 3)
    assert [entry.reason for entry in made.refused] == ["file not found"]
    assert (made.domains["packaged goods"].images, made.domains["dishes"].classes) == (4, 2)
    items = list(open_source(str(out)))
    assert not [item for item in items if isinstance(item, Skipped)]  # the crops were written, too
    assert all(item.read() for item in items)


def test_the_commands(tmp_path, capsys):
    data = write(tmp_path / "data", "rp2k", "food101")
    assert main(["datasets", "--data", str(data), "--json"]) == 0
    listed = {row["key"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert [key for key, row in listed.items() if row["here"]] == ["rp2k", "food101"]
    assert listed["shopee"]["missing"] == ["shopee/train_images", "shopee/train.csv"]
    out = tmp_path / "m.csv"
    assert main(["curate", f"m4d:{data}?sets=food101", "--out", str(out), "--min-images", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 2
    assert main(["curate", f"m4d:{data}?sets=food101", "--out", str(out)]) == 1
    assert "no class in these domains has 3 images" in capsys.readouterr().err
