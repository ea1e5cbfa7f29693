"""Parts of an evaluation that people open to look at: a domain, a label, a cell of the table of first hits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unifex.core.arrays import positions_of
from unifex.evaluation.evaluation import Evaluation
from unifex.evaluation.failures import WorstQuery
from unifex.evaluation.splits import QueryIndexSplit

LOOKED_THROUGH = 2000  # relevant items of a query; those of larger labels that are listed first


@dataclass(frozen=True)
class Part:
    """Queries of this ``domain``, of this ``label`` in it, whose first hit is of the domain ``taken_by``; None: any."""

    domain: str | None = None
    label: str | None = None
    taken_by: str | None = None

    def queries(self, evaluation: Evaluation) -> np.ndarray:
        """Which queries are meant: bool [Q]."""
        split = evaluation.split
        meant = self._of(split, split.queries)
        if self.taken_by is not None:
            first = evaluation.hits.positions[:, 0]
            meant &= (first >= 0) & (split.columns.domains.texts[first] == self.taken_by)
        return meant

    def items(self, split: QueryIndexSplit) -> np.ndarray:
        """Positions int64 [n] of a label's items, queries or not; of no other part."""
        if self.label is None:
            return np.zeros(0, np.int64)
        every = np.arange(len(split.columns.ids))
        return every[self._of(split, every)]

    def _of(self, split: QueryIndexSplit, positions: np.ndarray) -> np.ndarray:
        meant = np.ones(len(positions), bool)
        for column, name in ((split.columns.domains, self.domain), (split.columns.labels, self.label)):
            if name is not None:
                meant &= column.texts[positions] == name
        return meant


def missed(
    split: QueryIndexSplit, failure: WorstQuery, ids: np.ndarray, embeddings: np.ndarray, most: int
) -> list[int]:
    """Index items (positions) that a query should have found and did not, those that are most alike first.

    Alike by ``embeddings`` float32 [N, d] of the items ``ids`` int64 [N], ascending: the gallery as it is now. What is
    no longer there is left out.
    """
    relevant = _relevant(split, failure)
    places = positions_of(ids, split.columns.ids[relevant])
    relevant, places = relevant[places >= 0], places[places >= 0]
    query = int(positions_of(ids, split.columns.ids[failure.query]))
    if query < 0:
        return []
    likeness = embeddings[places] @ embeddings[query]
    return relevant[np.argsort(-likeness, kind="stable")[:most]].tolist()


def _relevant(split: QueryIndexSplit, failure: WorstQuery) -> np.ndarray:
    """Positions of what is relevant to a query and not among its hits."""
    classes, query = split.columns.classes, failure.query
    meant = classes[split.items] == classes[query]
    meant |= np.isin(split.items, split.same[split.same[:, 0] == query, 1])
    if split.groups is not None:
        meant &= split.groups[split.items] != split.groups[query]
    found = split.items[meant]
    return found[~np.isin(found, failure.hits)][:LOOKED_THROUGH]
