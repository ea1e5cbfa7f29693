"""M4D-35k and the other data sets of the public UniFEx code: a row says where the labels of one are, and how to read.

Each lies below one data folder in the layout that the public code documents (its ``src/datasets/DATASET.md``). A
source of them is ``m4d:DIR``, which is M4D-35k, or ``m4d:DIR?sets=gldv2,met_art&classes=100&max_images=5``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unifex.core.json_text import parse_json
from unifex.core.language import say
from unifex.core.tables import CSVError, delimiter_of, rows
from unifex.core.text import reason
from unifex.data.item import Labelled, Labels, SourceError

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Row(Labelled):
    """One labelled image: ``path`` below the data folder; ``box`` left, top, right, bottom in pixels to crop to."""

    path: str
    labels: Labels
    box: Box | None = None


@dataclass(frozen=True)
class Dataset:
    """``key`` is the public code's name; ``needs`` below the data folder; counts as published, None where unsure."""

    key: str
    title: str
    domain: str
    needs: tuple[str, ...]
    read: Callable[[Path], Iterator[Row]]
    url: str
    licence: str
    classes: int | None = None
    images: int | None = None

    def missing(self, data: Path) -> list[str]:
        """What of ``needs`` is not below the data folder."""
        return [name for name in self.needs if not (data / name).exists()]


def table(file: Path, *wanted: tuple[str, ...]) -> Iterator[list[str]]:
    """Cells of a text table, in the order wanted; each is given by the names that its column may have.

    Comma, semicolon, tab and space separate. Raises ``SourceError`` naming the column that was looked for, or the line
    that is short of cells.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline()
            delimiter = delimiter_of(head, ",;\t ")
            found = [name.strip().lower() for _, row in rows([head], delimiter) for name in row]
            places: list[int] = []
            for names in wanted:
                place = next((found.index(name) for name in names if name in found), None)
                if place is None:
                    named = say(" or ").join(f"'{name}'" for name in names)
                    there = ", ".join(found)[:200] or say("nothing")
                    raise SourceError(
                        say("{file}: no column {named} (found: {there})", file=file.name, named=named, there=there)
                    )
                places.append(place)
            for line, row in rows(lines, delimiter):
                if len(row) <= max(places):
                    raise SourceError(
                        say(
                            "{file}, line {line}: {cells} cells, not {count}",
                            file=file.name,
                            line=line + 1,
                            cells=len(row),
                            count=len(found),
                        )
                    )
                yield [row[place].strip() for place in places]
    except (OSError, UnicodeDecodeError, CSVError) as error:
        raise SourceError(say("{file} cannot be read: {reason}", file=file.name, reason=reason(error))) from error


def _json(file: Path):
    try:
        return parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(say("{file} cannot be read: {reason}", file=file.name, reason=reason(error))) from error


@dataclass(frozen=True)
class _Table:
    """A data set whose labels are a table: ``place`` makes the path of an image, below the data folder, of its cell."""

    file: str
    domain: str
    image: tuple[str, ...]
    label: tuple[str, ...]
    place: Callable[[str], str]

    def __call__(self, data: Path) -> Iterator[Row]:
        for image, label in table(data / self.file, self.image, self.label):
            yield Row(self.place(image), Labels(label, self.domain))


PATH = ("img_path", "path", "image", "name")
LABEL = ("label", "class", "img_id", "label_group")
# The folders whose images M4D-35k is made of.
M4D_DOMAINS = {
    "products-10k": "packaged goods",
    "google_landmark_recognition_2021": "landmarks",
    "deepfashion": "apparel",
    "stanford_cars": "cars",
}


def _m4d(data: Path) -> Iterator[Row]:
    for path, label in table(data / "m4d-35k_train.csv", ("img_path", "path"), ("label",)):
        folder = path.replace("\\", "/").removeprefix("./").partition("/")[0]
        if folder not in M4D_DOMAINS:
            known = ", ".join(M4D_DOMAINS)
            raise SourceError(say("m4d-35k_train.csv: '{path}' is in none of {known}", path=path[:80], known=known))
        yield Row(path, Labels(label, M4D_DOMAINS[folder]))


def _deepfashion(data: Path) -> Iterator[Row]:
    """``{group: {id: [path, ...]}}``, with paths below ``deepfashion/``."""
    for group, classes in _json(data / "deepfashion/deepfashion_train.json").items():
        if not isinstance(classes, dict):
            raise SourceError(
                say("deepfashion_train.json: '{group}' holds no classes; it must be group -> id -> paths", group=group)
            )
        for label, paths in classes.items():
            yield from (Row(f"deepfashion/{path}", Labels(label, "apparel")) for path in paths)


def _met(data: Path) -> Iterator[Row]:
    """``[{"id": ..., "path": ...}, ...]``, with paths below ``MET/``."""
    for number, entry in enumerate(_json(data / "met_dataset/ground_truth/MET_database.json")):
        if not isinstance(entry, dict) or not {"id", "path"} <= entry.keys():
            raise SourceError(say("MET_database.json: entry {number} has no 'id' and 'path'", number=number))
        yield Row(f"met_dataset/MET/{entry['path']}", Labels(str(entry["id"]), "artwork"))


def _food101(data: Path) -> Iterator[Row]:
    """``{class: [class/number, ...]}``; the test images, as the public code takes."""
    for label, names in _json(data / "food-101/meta/test.json").items():
        yield from (Row(f"food-101/images/{name}.jpg", Labels(label, "dishes")) for name in names)


def _food_recognition(data: Path) -> Iterator[Row]:
    """The public code's preprocessed crops where they are, else every box of the COCO annotations."""
    if (data / "fr22_train_v2/train.csv").is_file() and (data / "fr22_train_v2/preprocessed_imgs").is_dir():
        yield from _Table("fr22_train_v2/train.csv", "dishes", PATH, LABEL, "fr22_train_v2/{}".format)(data)
        return
    found = _json(data / "fr22_train_v2/annotations.json")
    try:
        names = {image["id"]: image["file_name"] for image in found["images"]}
        for entry in found["annotations"]:
            left, top, width, height = entry["bbox"]
            path = f"fr22_train_v2/images/{names[entry['image_id']]}"
            yield Row(path, Labels(str(entry["category_id"]), "dishes"), (left, top, left + width, top + height))
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(say("annotations.json is not in COCO's format: {error!r}", error=error)) from error


def _deepfashion2(data: Path) -> Iterator[Row]:
    """The public code's preprocessed crops where they are, else every item of a style in the annotations."""
    folder = data / "deep_fashion2"
    if (folder / "train.csv").is_file() and (folder / "preprocessed_imgs").is_dir():
        yield from _Table("deep_fashion2/train.csv", "apparel", PATH, LABEL, "deep_fashion2/{}".format)(data)
        return
    for file in sorted((folder / "annos").glob("*.json")):
        found = _json(file)
        items = {name: entry for name, entry in found.items() if name.startswith("item")}
        for name, entry in items.items():
            try:
                style, label = int(entry["style"]), f"{found['pair_id']}_{entry['style']}"
                box = _box(entry["bounding_box"]) if len(items) > 1 else None
            except (KeyError, TypeError, ValueError) as error:
                raise SourceError(
                    say(
                        "annos/{file}: {name} is not as DeepFashion2 says: {error!r}",
                        file=file.name,
                        name=name,
                        error=error,
                    )
                ) from error
            if style > 0:  # style 0 is a garment that is in one image only
                yield Row(f"deep_fashion2/image/{file.stem}.jpg", Labels(label, "apparel"), box)


def _box(sides: Iterable[str | float]) -> Box:
    left, top, right, bottom = map(float, sides)
    return left, top, right, bottom


def _hm_place(article: str) -> str:
    article = article.zfill(10)  # a spreadsheet takes the leading zero away
    return f"hm_personalized_fashion/images/{article[:3]}/{article}.jpg"


def _landmark_place(name: str) -> str:
    return "google_landmark_recognition_2021/train/" + "/".join([*name[:3], f"{name}.jpg"])


def _fashion200k(data: Path) -> Iterator[Row]:
    """The table is called one way in the documentation of the public code, and another in its reader."""
    names = ("fashion200k_train.csv", "train.csv")
    file = next((name for name in names if (data / "fashion200k" / name).is_file()), names[0])
    read = _Table(f"fashion200k/{file}", "apparel", PATH, ("img_id", "label", "class"), "fashion200k/{}".format)
    return read(data)


def _stanford_cars(data: Path) -> Iterator[Row]:
    """Kaggle's archive unpacks into a folder within the folder."""
    inner = "stanford_cars/cars_train/cars_train"
    folder = inner if (data / inner).is_dir() else "stanford_cars/cars_train"
    read = _Table("stanford_cars/sc_train.csv", "cars", ("image", *PATH), ("label", "class"), f"{folder}/{{}}".format)
    return read(data)


_KAGGLE = "https://www.kaggle.com/"
_RESEARCH = "non-commercial research"
_ROWS = (
    Dataset(
        "m4d_35k", "M4D-35k", "packaged goods, landmarks, apparel, cars",
        ("m4d-35k_train.csv", *M4D_DOMAINS), _m4d,
        "https://github.com/morrisfl/UniFEx", "that of its four sources", 34_800, 328_400,
    ),
    Dataset(
        "products_10k", "Products-10k", "packaged goods", ("products-10k/train", "products-10k/train.csv"),
        _Table(
            "products-10k/train.csv", "packaged goods", ("name", *PATH), ("class", "label"),
            "products-10k/train/{}".format,
        ),
        "https://products-10k.github.io", _RESEARCH,
    ),
    Dataset(
        "gldv2", "Google Landmarks v2", "landmarks",
        ("google_landmark_recognition_2021/train", "google_landmark_recognition_2021/train.csv"),
        _Table(
            "google_landmark_recognition_2021/train.csv", "landmarks", ("id",), ("landmark_id", "label"),
            _landmark_place,
        ),
        _KAGGLE + "c/landmark-recognition-2021/data", "CC licences, an image each", 81_313, 1_580_470,
    ),
    Dataset(
        "deep_fashion", "DeepFashion, Consumer to Shop", "apparel",
        ("deepfashion/train", "deepfashion/deepfashion_train.json"), _deepfashion,
        _KAGGLE + "datasets/sangamman/deepfashion-consumer-to-shop-training", _RESEARCH,
    ),
    Dataset(
        "met_art", "The Met", "artwork", ("met_dataset/MET", "met_dataset/ground_truth/MET_database.json"), _met,
        "http://cmp.felk.cvut.cz/met/", "CC0 images", 224_408, 397_121,
    ),
    Dataset(
        "shopee", "Shopee", "packaged goods", ("shopee/train_images", "shopee/train.csv"),
        _Table(
            "shopee/train.csv", "packaged goods", ("image", *PATH), ("label_group", "label"),
            "shopee/train_images/{}".format,
        ),
        _KAGGLE + "competitions/shopee-product-matching/data", "competition rules", 11_014, 34_250,
    ),
    Dataset(
        "hm", "H&M Personalized Fashion", "apparel",
        ("hm_personalized_fashion/images", "hm_personalized_fashion/articles.csv"),
        _Table("hm_personalized_fashion/articles.csv", "apparel", ("article_id",), ("product_code",), _hm_place),
        _KAGGLE + "competitions/h-and-m-personalized-fashion-recommendations/data", "competition rules",
    ),
    Dataset(
        "rp2k", "RP2K", "packaged goods", ("rp2k/train", "rp2k/train.csv"),
        _Table("rp2k/train.csv", "packaged goods", PATH, ("img_id", "label", "class"), "rp2k/train/{}".format),
        "https://www.pinlandata.com/rp2k_dataset/", _RESEARCH,
    ),
    Dataset(
        "sop", "Stanford Online Products", "packaged goods", ("stanford_online_products/Ebay_train.txt",),
        _Table(
            "stanford_online_products/Ebay_train.txt", "packaged goods", ("path",), ("class_id",),
            "stanford_online_products/{}".format,
        ),
        "https://cvgl.stanford.edu/projects/lifted_struct/", _RESEARCH, 11_318, 59_551,
    ),
    Dataset(
        "fashion200k", "Fashion200k", "apparel", ("fashion200k/women",), _fashion200k,
        "https://github.com/xthan/fashion-200k", _RESEARCH,
    ),
    Dataset(
        "food_rec22", "Food Recognition 2022", "dishes", ("fr22_train_v2/images",), _food_recognition,
        "https://www.aicrowd.com/challenges/food-recognition-benchmark-2022#datasets", "CC BY 4.0",
    ),
    Dataset(
        "stanford_cars", "Stanford Cars", "cars", ("stanford_cars/cars_train", "stanford_cars/sc_train.csv"),
        _stanford_cars, _KAGGLE + "datasets/jessicali9530/stanford-cars-dataset", _RESEARCH, 196, 8_144,
    ),
    Dataset(
        "deep_fashion2", "DeepFashion2", "apparel", ("deep_fashion2/image",), _deepfashion2,
        "https://github.com/switchablenorms/DeepFashion2", _RESEARCH,
    ),
    Dataset(
        "food101", "Food-101", "dishes", ("food-101/images", "food-101/meta/test.json"), _food101,
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/", "research only", 101, 25_250,
    ),
    Dataset(
        "furniture180", "Furniture-180", "furniture", ("furniture_180/furniture180_train.csv",),
        _Table("furniture_180/furniture180_train.csv", "furniture", PATH, LABEL, "furniture_180/{}".format),
        _KAGGLE + "datasets/andreybeyn/qudata-gembed-furniture-180", "see its page", 180,
    ),
    Dataset(
        "storefronts146", "Storefronts-146", "storefronts", ("storefronts_146/storefronts146_train.csv",),
        _Table("storefronts_146/storefronts146_train.csv", "storefronts", PATH, LABEL, "storefronts_146/{}".format),
        _KAGGLE + "datasets/kerrit/storefront-146", "see its page", 146,
    ),
)  # fmt: skip
DATASETS: dict[str, Dataset] = {dataset.key: dataset for dataset in _ROWS}
