"""What a program does with a gallery in one call each: long work is waited for, and its result is returned.

``watch`` is given every :class:`~unifex.core.progress.Step` of it. Images that could not be read stand in the report;
whatever else goes wrong is raised as a :class:`~unifex.core.errors.UnifexError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from unifex.core.progress import Step, finish
from unifex.core.values import checked
from unifex.evaluation.compare import Assessment, compare
from unifex.evaluation.protocols import EvalProtocol
from unifex.gallery import indexing
from unifex.gallery.gallery import Gallery
from unifex.gallery.index_report import IndexReport
from unifex.gallery.indexing import Pace
from unifex.models.image_like import ImageLike, several
from unifex.retrieval import search as retrieval
from unifex.retrieval.filters import Filters
from unifex.retrieval.query import Query
from unifex.retrieval.search import SearchResult
from unifex.training import run
from unifex.training.config import PRESETS, TrainConfig, suited_preset
from unifex.training.held_out import HoldOut
from unifex.training.result import TrainResult

Watch = Callable[[Step], None]


@checked
def index(
    gallery: Gallery,
    source: str | Path,
    watch: Watch | None = None,
    prune: bool = False,
    prune_all: bool = False,
    rehash: bool = False,
    pace: Pace = Pace(),
) -> IndexReport:
    """Add the images of a source: folder, .zip, .csv, image, hf:OWNER/NAME.

    Options are those of :func:`unifex.gallery.indexing.index`. What is unchanged is not read again. Raises
    ``SourceError`` and ``GalleryError``.
    """
    return finish(indexing.index(gallery, str(source), prune, prune_all, rehash, pace), watch)


@checked
def search(
    gallery: Gallery,
    query: Query | ImageLike | Iterable[ImageLike],
    k: int = 10,
    filters: Filters = Filters(),
    dim: int | None = None,
    rerank: bool = False,
) -> SearchResult:
    """The ``k`` (1..1000) most similar items of an image, or of several of the same thing, best first.

    An image is a path, the bytes of a file, a PIL image or a ``Crop`` of one; a :class:`Query` may be text or items,
    too. ``dim``: of the embeddings, by default the gallery's; ``rerank`` by the gallery's own neighbourhood. Raises
    ``ImageError``, ``DimensionError``, ``BackboneError`` for text that the backbone cannot read.
    """
    query = query if isinstance(query, Query) else several(query)
    return retrieval.search(gallery, query, k, filters, dim, rerank)


@checked
def evaluate(
    gallery: Gallery,
    protocol: EvalProtocol = EvalProtocol(),
    dim: int | None = None,
    rerank: bool = False,
    baselines: Sequence[str] = (),
    watch: Watch | None = None,
) -> Assessment:
    """How well the gallery's labelled items find each other: mMP@5, recall, mAP@R, each 0..1 with a 95% interval.

    ``baselines``: models, ``raw``, ``pca`` or ``pooling`` to set beside it. Raises ``GalleryError`` without labels.
    """
    return finish(compare(gallery, protocol, dim, rerank, baselines), watch)


@checked
def train(
    gallery: Gallery,
    name: str,
    config: TrainConfig | None = None,
    hold_out: HoldOut = HoldOut(),
    watch: Watch | None = None,
) -> TrainResult:
    """Teach a neck the gallery's labels and save it as model ``name`` beside the galleries.

    ``config``: by default what did best for so many labelled images, as the command line and the page take it (``few``
    or ``best`` of :data:`unifex.training.config.PRESETS`); ``TrainConfig()`` is the recipe of the paper, 64-d alone.
    The result says what it is worth on classes that it never saw. One that was stopped goes on when called again
    alike. Raises ``GalleryError``, ``TrainingError`` or ``ModelError`` with what is missing.
    """
    config = config or PRESETS[suited_preset(gallery.snapshot().columns.labelled)].config
    return finish(run.train(gallery, name, config, hold_out), watch)
