"""Features are compared where they lie on disk: against NumPy, while items come and go and shards are joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import drawing
from tests.support.galleries import run_index
from unifex.core.vectors import l2_normalize, widen
from unifex.gallery import image_store, unit_features
from unifex.gallery.errors import GalleryError
from unifex.gallery.gallery import Gallery
from unifex.gallery.unit_features import GONE


def test_halves_are_widened_exactly():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    found = widen(every, np.empty(every.shape, np.float32))
    assert np.array_equal(found.view(np.int32), every.astype(np.float32).view(np.int32))  # the sign of 0, too


@pytest.fixture
def gallery(embedder, tmp_path, monkeypatch) -> Gallery:
    """Whose features lie in several shards, each gone through in several blocks."""
    monkeypatch.setattr(unit_features, "BLOCK_VALUES", 3 * embedder.backbone.feature_dim)
    gallery = Gallery.create(tmp_path / "gallery", embedder)
    for at in range(3):
        run_index(gallery, drawn(tmp_path / f"{at}", 12, 20 * at))
    assert shards(gallery) > 2
    return gallery


def drawn(folder: Path, count: int, first: int) -> Path:
    folder.mkdir()
    for view in range(first, first + count):
        (folder / f"{view}.png").write_bytes(drawing.encoded(drawing.picture("signs/cross", view)))
    return folder


def shards(gallery: Gallery) -> int:
    return len(list((gallery.folder / "features").glob("*.npy")))


def queries(gallery: Gallery, count: int) -> np.ndarray:
    drawn = np.random.default_rng(0).standard_normal((count, gallery.embedder.backbone.feature_dim))
    return l2_normalize(drawn, drawn.shape[1])


def assert_compares_all(gallery: Gallery) -> None:
    current = gallery.snapshot()
    features = gallery.derived.unit_features(current)
    expected = gallery.features(current.columns.sha256s()).astype(np.float64)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for count in (1, 3):
        asked = queries(gallery, count)
        np.testing.assert_allclose(features.cosines(asked), asked @ expected.T, atol=1e-5)
    positions = np.random.default_rng(1).permutation(len(features))[:7]
    np.testing.assert_allclose(features[positions], expected[positions], atol=1e-6)
    np.testing.assert_allclose(features[3:9], expected[3:9], atol=1e-6)
    assert features.shape == expected.shape


def test_all_are_compared_whatever_came_went_and_was_joined(gallery, tmp_path, monkeypatch):
    assert_compares_all(gallery)
    run_index(gallery, drawn(tmp_path / "d", 5, 100))
    assert_compares_all(gallery)
    with gallery.write() as writer:
        writer.remove(gallery.snapshot().columns.ids[[0, 5, 30]].tolist())
    assert_compares_all(gallery)
    before = shards(gallery)
    monkeypatch.setattr(image_store, "FEW_SHARDS", 1)
    with gallery.write() as writer:
        writer.tidy()
    assert shards(gallery) < before
    assert_compares_all(gallery)


def test_items_that_went_since_are_like_nothing(gallery):
    current = gallery.snapshot()
    features, asked = gallery.derived.unit_features(current), queries(gallery, 2)
    before = features.cosines(asked)
    with gallery.write() as writer:
        writer.remove(current.columns.ids[[1, 4]].tolist())
    after = features.cosines(asked)
    assert (after[:, [1, 4]] == GONE).all()
    np.testing.assert_allclose(np.delete(after, [1, 4], 1), np.delete(before, [1, 4], 1), atol=1e-6)
    assert not features[np.array([4])].any()
    assert features[np.array([0, 4, 2])][[0, 2]].any(axis=1).all()


def test_byte_identical_images_are_equally_alike(gallery, tmp_path):
    run_index(gallery, drawn(tmp_path / "d", 1, 5))  # an image of the first folder's
    found = gallery.derived.unit_features(gallery.snapshot()).cosines(queries(gallery, 1))[0]
    assert found[-1] in found[:-1]
    assert_compares_all(gallery)


def test_a_shard_that_is_damaged_is_told(gallery):
    path = max((gallery.folder / "features").glob("*.npy"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    opened = Gallery.open(gallery.folder, gallery.embedder)
    with pytest.raises(GalleryError, match=f"{path.name} is damaged"):
        opened.derived.unit_features(opened.snapshot()).cosines(queries(gallery, 1))


def test_an_empty_gallery(embedder, tmp_path):
    empty = Gallery.create(tmp_path / "empty", embedder)
    assert empty.derived.unit_features(empty.snapshot()).cosines(queries(empty, 2)).shape == (2, 0)
