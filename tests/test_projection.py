import base64
import json
import re

import numpy as np
import pytest

from tests.support.drawing import encoded, picture, write_folder
from tests.support.galleries import run_index
from tests.support.splits import make_columns
from unifex.core.progress import Step, finish
from unifex.core.vectors import l2_normalize
from unifex.gallery.gallery import Gallery, GalleryError
from unifex.gallery.library import Library
from unifex.gallery.neighbours import Neighbours
from unifex.maps import page, projection
from unifex.maps.compiling import compile_ahead
from unifex.maps.projection import Map, aligned, interpolated, kept_map, moved_most, project


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, embedder):
    """A gallery, its map, the steps to it, and its pictures' folder."""
    base = tmp_path_factory.mktemp("map")
    gallery = Gallery.create(base / "indexes" / "g", embedder)
    run_index(gallery, write_folder(base / "pictures", views=10))
    steps: list[Step] = []
    return gallery, finish(project(gallery), steps.append), steps, base / "pictures"


def test_a_map_shows_its_progress_and_brings_labels_together(mapped):
    gallery, drawn, steps, _ = mapped
    assert {step.stage for step in steps} >= {"finding neighbours", "starting UMAP"}
    classes = gallery.snapshot().columns.classes
    assert drawn.coords.shape == (40, 2)
    assert drawn.coords.dtype == np.float32
    assert np.isfinite(drawn.coords).all()
    distances = np.linalg.norm(drawn.coords[:, None] - drawn.coords[None], axis=2)
    same = classes[:, None] == classes[None]
    assert distances[same].mean() < 0.7 * distances[~same].mean()


def test_it_is_kept_and_the_same_again(mapped):
    gallery, drawn, *_ = mapped
    assert np.array_equal(finish(project(gallery)).coords, drawn.coords)
    assert np.array_equal(kept_map(gallery).coords, drawn.coords)
    assert np.array_equal(finish(project(gallery, refresh=True)).coords, drawn.coords)


def test_a_kept_map_starts_nothing(mapped, monkeypatch):
    gallery, drawn, *_ = mapped
    for module, name in ((projection.subprocess, "Popen"), (projection.tempfile, "TemporaryDirectory")):
        monkeypatch.setattr(module, name, None)
    assert np.array_equal(finish(project(gallery)).coords, drawn.coords)


def test_a_worker_that_dies_says_why(gallery, tmp_path, monkeypatch):
    (tmp_path / "umap.py").write_text("raise ImportError('numba is too old')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(GalleryError, match=r"could not be made.*numba is too old"):
        finish(project(gallery))
    assert kept_map(gallery) is None


def test_newcomers_are_placed_without_fitting_again(mapped, embedder):
    gallery, drawn, _, pictures = mapped
    (pictures / "signs/cross/new.png").write_bytes(encoded(picture("signs/cross", 70)))
    run_index(gallery, pictures)
    found = kept_map(gallery)
    assert found.placed == 1
    assert np.array_equal(found.coords, finish(project(gallery)).coords)
    assert np.array_equal(found.coords[:40], drawn.coords)
    near = gallery.neighbours()[1].positions[40][:5]
    centre = found.coords[near].mean(axis=0)
    assert np.linalg.norm(found.coords[40] - centre) < np.ptp(found.coords, axis=0).max()


def test_a_second_map_lies_on_the_first(mapped):
    gallery = mapped[0]
    first, second = finish(project(gallery)), finish(project(gallery, "raw"))
    assert second.model == "raw"
    assert np.array_equal(first.ids, second.ids)
    moved = moved_most(first, second)
    distances = np.linalg.norm(first.coords - second.coords, axis=1)
    assert distances[moved].min() >= np.sort(distances)[-24]
    kept = finish(project(gallery, "raw"))
    assert np.array_equal(kept.coords, second.coords)


def test_cancelling_ends_the_worker(gallery, monkeypatch):
    started = []
    popen = projection.subprocess.Popen
    monkeypatch.setattr(projection.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    work = project(gallery)
    next(step for step in work if step.stage == "starting UMAP")
    assert started[0].poll() is None
    work.close()
    assert started[0].poll() is not None
    assert kept_map(gallery) is None


def test_a_second_map_without_a_first_takes_one_worker_for_both(gallery, monkeypatch):
    """To import UMAP takes seconds."""
    started, popen = [], projection.subprocess.Popen
    monkeypatch.setattr(projection.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    second = finish(project(gallery, "raw"))
    assert len(started) == 1
    assert started[0].poll() is not None
    assert np.array_equal(second.ids, kept_map(gallery).ids)


def test_compiling_ahead_gives_way(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIFEX_CACHE", str(tmp_path))
    assert not compile_ahead(lambda: True)
    assert not list(tmp_path.glob("numba/umap-*"))


def test_too_few_items(tmp_path, embedder):
    gallery = Gallery.create(tmp_path / "indexes" / "few", embedder)
    with pytest.raises(GalleryError, match="needs 4 different images, gallery 'few' has 0;"):
        finish(project(gallery))


def pictures_in(tmp_path):
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.mark.parametrize("different", [1, 3])
def test_copies_alone_make_no_map(tmp_path, embedder, different):
    pictures = pictures_in(tmp_path)
    for number in range(20):
        (pictures / f"{number}.png").write_bytes(encoded(picture("shapes/disc", number % different)))
    gallery = Gallery.create(tmp_path / "indexes" / "copies", embedder)
    run_index(gallery, pictures)
    with pytest.raises(GalleryError, match=f"has {different}, and {20 - different} copies; add others"):
        finish(project(gallery))


def test_an_image_has_one_place_however_many_files_show_it(tmp_path, embedder):
    """More copies than an item has neighbours, under other names and, of one, in another file format."""
    pictures = pictures_in(tmp_path)
    image = picture("signs/cross", 1)
    for number in range(20):
        (pictures / f"copy{number}.png").write_bytes(encoded(image))
        (pictures / f"other{number}.png").write_bytes(encoded(picture("shapes/disc", number)))
    (pictures / "repacked.bmp").write_bytes(encoded(image, "BMP"))
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, pictures)
    drawn = finish(project(gallery))
    same = np.array(["copy" in r.path or "repacked" in r.path for r in gallery.records(drawn.ids)])
    assert len(np.unique(drawn.coords[same], axis=0)) == 1
    assert len(np.unique(drawn.coords[~same], axis=0)) == 20
    (pictures / "copy late.png").write_bytes(encoded(image))
    run_index(gallery, pictures)
    later = finish(project(gallery))
    assert later.placed == 1
    assert np.array_equal(later.coords[-1], drawn.coords[same][0])
    assert len(np.unique(finish(project(gallery, "raw")).coords, axis=0)) == 21


def test_alignment_undoes_turning_mirroring_and_scaling():
    rng = np.random.default_rng(0)
    to = rng.standard_normal((30, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.diag([1, -1])
    assert np.allclose(aligned(3 * to @ turn + 5, to), to, atol=1e-5)


def test_placing_is_a_weighted_mean():
    places = np.array([[0, 0], [10, 0], [0, 10.0]])
    assert np.allclose(interpolated(places, np.array([0.9, 0.9, 0.9])), [10 / 3, 10 / 3])
    assert np.linalg.norm(interpolated(places, np.array([0.9, 0.3, 0.3]))) < 0.1
    assert np.allclose(interpolated(places[:1], np.array([-0.5])), [0, 0])


def decoded(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_page_holds_everything(mapped):
    gallery = mapped[0]
    drawn = finish(project(gallery))
    html = page.page(gallery, drawn, thumbnails=True)
    data = json.loads(re.search(r"const MAP = (.*);\n", html)[1])
    assert np.array_equal(decoded(data["ids"], np.int32), drawn.ids)
    assert np.array_equal(decoded(data["places"], np.float32).reshape(-1, 2), drawn.coords)
    columns = {column["title"]: column for column in data["columns"]}
    labels = gallery.snapshot().columns.labels
    assert [columns["label"]["names"][code] for code in decoded(columns["label"]["codes"], np.int32)] == list(
        labels.texts
    )
    assert data["cards"][0][3].startswith("data:image/jpeg;base64,")
    assert not re.search(r"""<(?:script|link|img)[^>]*(?:src|href)\s*=\s*["']?https?:""", html)


def test_no_name_can_end_the_script(tmp_path, embedder):
    evil = "</script><script>alert(1)</script><!--"
    lines = ["path,label,domain", *(f'{view}.png,"{evil}",d' for view in range(5))]
    for view in range(5):
        (tmp_path / f"{view}.png").write_bytes(encoded(picture("shapes/disc", view)))
    (tmp_path / "m.csv").write_text("\n".join(lines))
    gallery = Gallery.create(tmp_path / "indexes" / "evil", embedder)
    run_index(gallery, tmp_path / "m.csv")
    ids = gallery.snapshot().columns.ids
    html = page.page(gallery, Map(ids, np.zeros((5, 2), np.float32), "m"))
    assert evil not in html
    assert html.count("</script>") == 2


def test_a_map_of_other_items_is_not_drawn(gallery):
    (current, near), others = gallery.neighbours(), np.arange(24) + 100
    for ids in (current.columns.ids[1:], others):
        drawn = Map(ids, np.zeros((len(ids), 2), np.float32), "m")
        with pytest.raises(GalleryError, match="items came or went while the map was made"):
            page.map_data(current.columns, near, drawn)


def test_first_hits_right_or_wrong(mapped):
    columns, near = mapped[0].snapshot().columns, mapped[0].neighbours()[1]
    verdicts = page.first_hits(columns, near)
    for item, text in enumerate(verdicts.texts):
        assert text == ("right" if columns.classes[near.positions[item, 0]] == columns.classes[item] else "wrong")


def test_what_is_near_and_has_no_label_is_no_mistake():
    columns = make_columns(["cat", "", "cat", "dog", "", "cat"])
    near = Neighbours(
        np.zeros((6, 3), np.float32), np.array([[1, 2, 3], [0, 2, 4], [3, 0, 1], [1, 4, -1], [0, 1, 2], [-1, -1, -1]])
    )
    assert page.first_hits(columns, near).texts.tolist() == [
        "right", "no label", "wrong", "no label", "no label", "no label",
    ]  # fmt: skip


def test_a_second_map_is_of_the_items_that_the_first_is_of(tmp_path, embedder, monkeypatch):
    """Though others come while it is made, and its model is fitted to those there are, as PCA is."""

    def fitted(gallery, columns, name, dim, fit_on):
        features = gallery.features(columns.sha256s()).astype(np.float32)
        return l2_normalize(features - features.mean(axis=0), dim)

    monkeypatch.setattr(projection, "embed_as", fitted)
    pictures = write_folder(tmp_path / "pictures")
    gallery = Gallery.create(tmp_path / "indexes" / "g", embedder)
    run_index(gallery, pictures)
    work = project(gallery, "pca")
    next(step for step in work if step.stage == "starting UMAP")
    (pictures / "signs/cross/new.png").write_bytes(encoded(picture("signs/cross", 70)))
    run_index(gallery, pictures)
    second = finish(work)
    assert len(second.ids) == 24
    files = sorted(path.name for path in (gallery.folder / "maps").iterdir())
    assert len(files) == 2
    later = finish(project(gallery, "pca"))  # a newcomer is placed, and neither arranged anew nor another file
    assert later.placed == 1
    assert np.array_equal(later.coords[:24], second.coords)
    assert sorted(path.name for path in (gallery.folder / "maps").iterdir()) == files


@pytest.mark.parametrize("goes", [lambda all: all.rename("drawn", "other"), lambda all: all.delete("drawn")])
def test_a_gallery_that_goes_while_its_map_is_made_is_not_begun_anew(goes, gallery):
    work = project(gallery)
    while next(work).stage != "starting UMAP":
        pass
    goes(Library(gallery.folder.parent))
    assert len(finish(work).coords) == 24
    assert not gallery.folder.exists()


def test_too_few_images_for_principal_axes_are_what_is_lacking(gallery):
    with pytest.raises(GalleryError, match=r"'pca' needs more than 256 images .* 'drawn' has 24"):
        finish(project(gallery, "pca"))
