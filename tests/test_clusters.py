"""Clusters of a map and their names, on drawn places."""

import numpy as np
import pytest

from unifex.gallery.snapshot import CategoricalColumn
from unifex.maps.clusters import clusters


class Columns:
    """Labels and domains of drawn items."""

    def __init__(self, labels: list[str], domains: list[str]):
        self.labels, self.domains = CategoricalColumn.of(labels), CategoricalColumn.of(domains)


def islands(rng: np.random.Generator, *centres: tuple[float, float], each: int = 60) -> np.ndarray:
    return np.concatenate([centre + rng.uniform(-0.6, 0.6, (each, 2)) for centre in np.array(centres)])


def test_islands_are_found_and_called_by_label_else_by_domain():
    coords = islands(np.random.default_rng(0), (0, 0), (10, 0), (0, 10))
    labels = ["cup"] * 60 + ["chair"] * 40 + ["table"] * 20 + [f"{n}" for n in range(60)]
    domains = ["dishes"] * 60 + ["furniture"] * 60 + ["art"] * 60
    for level in (0, 1):
        found = [one for one in clusters(coords, Columns(labels, domains)) if one.level == level]
        assert {(one.name, one.items) for one in found} == {("cup", 60), ("mostly chair", 60), ("art", 60)}
        for one in found:  # it stands in the midst of its own
            own = {"cup": 0, "mostly chair": 1, "art": 2}[one.name]
            assert own * 60 <= one.middle < own * 60 + 60


def test_two_islands_that_are_one_from_afar():
    coords = islands(np.random.default_rng(1), (0, 0), (1.6, 0), (20, 20))
    labels = ["cup"] * 60 + ["mug"] * 60 + ["chair"] * 60
    found = clusters(coords, Columns(labels, ["thing"] * 180))
    assert {one.name for one in found if one.level == 1} == {"cup", "mug", "chair"}
    assert {one.name for one in found if one.level == 0} == {"mostly cup", "chair"}


@pytest.mark.parametrize("coords", [np.zeros((0, 2)), np.zeros((40, 2)), np.full((3, 2), 7.0)])
def test_nothing_or_all_in_one_place(coords):
    found = clusters(coords, Columns(["cup"] * len(coords), ["dishes"] * len(coords)))
    assert {(one.name, one.items) for one in found} <= {("cup", 40)}


def test_what_has_no_name_is_not_named():
    coords = islands(np.random.default_rng(2), (0, 0))
    assert clusters(coords, Columns([""] * 60, [""] * 60)) == []
