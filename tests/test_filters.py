"""Filters and facets, against loops over the records."""

import csv
import random
import shutil
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import drawing
from tests.support.galleries import run_index
from unifex.core.errors import UnifexError
from unifex.gallery import kept_columns
from unifex.gallery.database import Database
from unifex.gallery.gallery import Gallery
from unifex.gallery.snapshot import CategoricalColumn
from unifex.retrieval.conditions import Condition
from unifex.retrieval.facets import facets
from unifex.retrieval.filters import Filters
from unifex.retrieval.search import search

COMPARISONS = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, "<": lambda a, b: a < b}
FOLDERS = ("shapes", "shapes/disc", "signs/cross", "sign")
TAGS = ("best", "seen", "nobody's")
WHERE = ("year>=1900", "year<1950", "year=1890", "year=1890.0", "year=1910", "artist=Monet", "artist=Ada", "price>2")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, embedder) -> Gallery:
    """Drawn pictures with further columns, some of them empty."""
    root = tmp_path_factory.mktemp("filters")
    pictures = drawing.write_folder(root / "pictures")
    draw = random.Random(3)
    with (pictures / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "domain", "split", "artist", "year", "price"])
        for path in sorted(pictures.rglob("*.png")):
            domain, label, _ = (name := path.relative_to(pictures)).parts
            artist, year = draw.choice(["Monet", "Ada", ""]), draw.choice(["1890", "1910", "1950", ""])
            split, price = draw.choice(["query", "index"]), draw.choice(["free", "1.5", "20"])
            rows.writerow([name.as_posix(), label, domain, split, artist, year, price])
    gallery = Gallery.create(root / "drawn", embedder)
    run_index(gallery, pictures / "manifest.csv")
    with gallery.write() as writer:
        for item in gallery.snapshot().columns.ids.tolist():
            writer.tag([item], draw.sample(["best", "seen"], draw.randrange(3)))
    return gallery


def test_what_python_alone_reads_as_a_number_is_none():
    column = CategoricalColumn.of(["1_2", "12", "1_3"])
    assert Condition("code", ">=", "12").holds(column).tolist() == [True, False, False]
    assert Condition("code", "=", "12").holds(column).tolist() == [True, False, False]
    with pytest.raises(UnifexError, match="no number"):
        Condition.parse("code>1_2")


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def holds(record, text: str) -> bool:
    condition = Condition.parse(text)
    value = record.labels.extra.get(condition.column, "")
    if condition.comparison in COMPARISONS:
        return is_number(value) and COMPARISONS[condition.comparison](float(value), float(condition.value))
    both = is_number(value) and is_number(condition.value)
    return float(value) == float(condition.value) if both else value == condition.value


def passed_by(domains, labels, folders, where, tags) -> dict:
    """Facet -> whether a record passes it."""
    found = {}
    if domains:
        found["domain"] = lambda record: record.domain in domains
    if labels:
        found["label"] = lambda record: record.label in labels
    if tags:
        found["tag"] = lambda record: bool(set(tags) & set(record.tags))
    if folders:
        found["folder"] = lambda record: any(record.path.startswith(f"{folder}/") for folder in folders)
    for column in {Condition.parse(text).column for text in where}:
        own = [text for text in where if Condition.parse(text).column == column]
        equal = [text for text in own if Condition.parse(text).comparison == "="]
        others = [text for text in own if text not in equal]
        found[f"column {column}"] = lambda record, equal=equal, others=others: (
            (not equal or any(holds(record, text) for text in equal)) and all(holds(record, text) for text in others)
        )
    return found


def names_of(record) -> dict[str, list[str]]:
    """Facet -> what it counts a record under."""
    parts = record.path.split("/")[:-1]
    one = {"domain": [record.domain], "label": [record.label], "split": [record.split], "tag": record.tags}
    columns = {f"column {name}": [record.labels.extra.get(name, "")] for name in ("artist", "year", "price")}
    return one | columns | {"folder": ["/".join(parts[: at + 1]) for at in range(len(parts))]}


some = lambda names: st.lists(st.sampled_from(names), unique=True, max_size=3).map(tuple)  # noqa: E731


@settings(max_examples=40, deadline=None)
@given(some(("shapes", "signs")), some(("disc", "cross", "stripes")), some(FOLDERS), some(WHERE), some(TAGS))
def test_against_loops(gallery, domains, labels, folders, where, tags):
    filters = Filters(domains, labels=labels, folders=folders, where=tuple(map(Condition.parse, where)), tags=tags)
    snapshot, passes = gallery.snapshot(), passed_by(domains, labels, folders, where, tags)
    records = gallery.records(snapshot.columns.ids)
    expected = [all(passed(record) for passed in passes.values()) for record in records]
    mask = filters.mask(snapshot)
    assert (mask.tolist() if mask is not None else [True] * 24) == expected
    assert filters.searched(snapshot) == sum(expected)
    for facet in facets(gallery, filters):
        others = [passed for name, passed in passes.items() if name != facet.name]
        left = [record for record in records if all(passed(record) for passed in others)]
        counts = Counter(name for record in left for name in names_of(record)[facet.name] if name)
        assert (facet.counts, facet.names) == (counts, len(counts))
        if facet.name.startswith("column ") and counts and all(map(is_number, counts)):
            assert (facet.low, facet.high) == (min(map(float, counts)), max(map(float, counts)))
        else:
            assert facet.low is None


def test_hits_are_exactly_what_is_left(gallery):
    filters = Filters(where=(Condition.parse("year >= 1900"),), folders=("signs/",))
    records = gallery.records(gallery.snapshot().columns.ids)
    expected = {r.id for r in records if r.domain == "signs" and holds(r, "year>=1900")}
    result = search(gallery, [drawing.encoded(drawing.picture("shapes/disc", 50))], 24, filters)
    assert {hit.record.id for hit in result.hits} == expected
    assert result.searched == len(expected)
    assert result.out_of_gallery is None


def test_columns_of_many_items_are_kept_on_disk(gallery, embedder, monkeypatch, tmp_path):
    expected, folder = facets(gallery), shutil.copytree(gallery.folder, tmp_path / "drawn")
    opened = lambda: Gallery.open(folder, embedder)  # noqa: E731
    monkeypatch.setattr(kept_columns, "LEAST", 1)
    assert facets(opened()) == expected
    with monkeypatch.context() as patch:
        patch.setattr(Database, "further_columns", lambda *_: pytest.fail("the file is not read"))
        assert facets(opened()) == expected
    for change in (lambda kept: kept[:-50] + b"x" + kept[-49:], lambda kept: b""):  # damaged, lost
        path = folder / "columns.npz"
        path.write_bytes(change(path.read_bytes()))
        assert facets(opened()) == expected
    with opened().write() as writer:
        writer.tag([opened().item_at("shapes/disc/0.png").id], ["new"])
        writer.remove([opened().item_at("shapes/disc/1.png").id])
    counted = {facet.name: facet.counts for facet in facets(opened())}
    assert (counted["tag"]["new"], counted["folder"]["shapes/disc"]) == (1, 5)


def test_corrected_labels_and_removed_items_are_followed(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "drawn", embedder)
    run_index(gallery, drawing.write_folder(tmp_path / "pictures"))
    assert Filters(folders=("shapes",)).searched(gallery.snapshot()) == 12
    with gallery.write() as writer:
        writer.remove([gallery.item_at("shapes/disc/0.png").id])
    assert Filters(folders=("shapes",)).searched(gallery.snapshot()) == 11
    assert {facet.name: facet.counts for facet in facets(gallery)}["folder"]["shapes"] == 11


@pytest.mark.parametrize("text", ["", "year", "=5", "year=", "year>=old", "year>nan", ">=5", "year<inf"])
def test_what_is_no_condition(text):
    with pytest.raises(UnifexError, match=r"no (condition|number)"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"labels": ("disk",)}, "no label 'disk' in gallery 'drawn'; there are: cross, disc"),
        ({"folders": ("shape",)}, "no folder 'shape' in gallery 'drawn'; there are: shapes/disc"),
        ({"where": ("yer>5",)}, "no column 'yer' in gallery 'drawn'; there are: artist, price, year"),
        ({"where": ("artist>5",)}, "column 'artist' holds nothing to compare with '5'; there are: Ada, Monet"),
        ({"where": ("price>2021-03-04",)}, "column 'price' holds nothing to compare with '2021-03-04'"),
        ({"where": ("artist=Manet",)}, "no 'Manet' in column 'artist'; there are: Ada, Monet"),
    ],
)
def test_what_no_item_has_is_told(gallery, filters, sentence):
    filters = {k: tuple(map(Condition.parse, v)) if k == "where" else v for k, v in filters.items()}
    with pytest.raises(UnifexError, match=sentence):
        Filters(**filters).check_known(gallery)
    assert Filters(**filters).searched(gallery.snapshot()) == 0


CODES = ("007", "7", "7.0", "0x7", "1e3", "1000")
WHEN = ("2021", "2021-03", "2021-03-04", "2021-03-04 10:00", "soon", "2022")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, embedder) -> Gallery:
    """Pictures that a CSV in another folder names by their whole paths, with columns of texts that are like numbers."""
    root = tmp_path_factory.mktemp("elsewhere")
    pictures, rows = drawing.write_folder(root / "pictures"), ["path,code,when"]
    for number, path in enumerate(sorted(pictures.rglob("*.png"))):
        rows.append(f"{path.as_posix()},{CODES[number % 6]},{WHEN[number % 5]}")
    (root / "lists").mkdir()
    (root / "lists" / "list.csv").write_text("\n".join(rows))
    gallery = Gallery.create(root / "elsewhere", embedder)
    run_index(gallery, root / "lists" / "list.csv")
    return gallery


def test_a_choice_leaves_what_its_facet_counts(elsewhere):
    found = {facet.name: facet for facet in facets(elsewhere)}
    assert len(found["column code"].counts) == 6
    assert "soon" in found["column when"].counts
    assert any(folder.startswith("/") and folder.endswith("pictures/shapes/disc") for folder in found["folder"].counts)
    for facet in found.values():
        for name, count in facet.counts.items():
            column = facet.name.removeprefix("column ")
            chosen = {"folders": (name,)} if column == "folder" else {"where": (Condition(column, "=", name),)}
            Filters(**chosen).check_known(elsewhere)
            assert Filters(**chosen).searched(elsewhere.snapshot()) == count, (facet.name, name)


def test_equal_is_the_text_that_is_there_or_else_the_number_or_date():
    held = lambda text, *names: list(  # noqa: E731
        CategoricalColumn.of(names).names[Condition.parse(f"year={text}").holds(CategoricalColumn.of(names))]
    )
    assert held("1900", "1900", "1900.0", "1901", "") == ["1900"]
    assert held("1900.00", "1900", "1900.0", "1901") == ["1900", "1900.0"]
    assert held("1900", "1900-05", "1901", "about 1900") == ["1900-05"]
    assert held("2021-03-04", "2021-03-04", "2021:03:04 10:20:30", "") == ["2021-03-04", "2021:03:04 10:20:30"]
    assert held("2021-03-04", "2021-03-04", "2021:03:04 10:20:30", "soon") == ["2021-03-04"]
