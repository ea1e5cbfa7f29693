"""What a training is remembered by: its curves and what was measured, beside the models of the gallery that taught it.

``models/.trained/NAME.json`` says it of the model ``NAME``, and names the gallery by its id, which stays when that is
renamed, and items by theirs. It does not travel with the model, which says nothing of where it was taught.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unifex.core import disk
from unifex.core.files import verify, with_checksum, write_atomically
from unifex.core.json_text import parse_json
from unifex.core.language import to_say
from unifex.core.text import reason
from unifex.evaluation.compare import PCA, RAW
from unifex.evaluation.evaluation import Evaluation, difference
from unifex.evaluation.metrics import Estimate
from unifex.models.embedder import FILES, ModelError, hashes_of
from unifex.training.result import Changed, EpochMetrics, TrainResult, Worth

REPORTS = ".trained"
log = logging.getLogger("unifex")


@dataclass(frozen=True)
class Measured:
    """A model at a dimension; ``change``: of the new one against it, None where it is the new one."""

    model: str
    dim: int
    score: Estimate
    macro: float
    change: Estimate | None


@dataclass(frozen=True)
class OfDomain:
    """A domain's queries; ``scores``: of what is compared, in its order; ``change``: from before to after."""

    name: str
    queries: int
    scores: tuple[float, ...]
    change: Estimate | None


@dataclass(frozen=True)
class TrainReport:
    """A training as people look at it again. ``gallery``: the id of the one that taught ``model``; ``images`` of
    ``classes`` were learned from in ``seconds``, ``items`` are in the gallery. ``queries`` were looked for among
    ``searched`` items. ``compared``: (what, dimension) of each score of a domain. ``changed``: items by their ids."""

    gallery: str
    model: str
    worth: Worth
    images: int
    classes: int
    items: int
    seconds: float
    curve: list[EpochMetrics]
    queries: int
    searched: int
    models: list[Measured]
    compared: list[tuple[str, int]]
    domains: list[OfDomain]
    changed: list[Changed]
    neck: str = ""  # its hash; empty in what an earlier version kept

    @classmethod
    def of(cls, result: TrainResult, gallery: str) -> TrainReport:
        """What is kept of a training on the gallery with this id."""
        first = result.evaluations[0] if result.evaluations else None
        compared = _compared(result)
        return cls(
            gallery, result.model, result.worth, len(result.data.train), result.data.classes,
            len(result.data.columns.ids), result.seconds, result.curve,
            queries=first.queries if first else 0,
            searched=len(first.split.items) if first else 0,
            models=[_measured(result, evaluation) for evaluation in result.evaluations],
            compared=[(what, evaluation.dim) for what, evaluation in compared.items()],
            domains=_domains(result, list(compared.values())),
            changed=[_by_ids(changed, result.data.columns.ids.tolist()) for changed in result.changed()],
            neck=result.neck.hash,
        )  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainReport:
        """What was kept. Raises TypeError, ValueError, KeyError or AttributeError for anything else."""
        worth = Worth(**{**values["worth"], "gain": _estimate(values["worth"]["gain"])})
        models = [
            Measured(**{**row, "score": Estimate(**row["score"]), "change": _estimate(row["change"])})
            for row in values["models"]
        ]
        domains = [
            OfDomain(**{**row, "scores": tuple(row["scores"]), "change": _estimate(row["change"])})
            for row in values["domains"]
        ]
        read = {
            "worth": worth, "models": models, "domains": domains,
            "curve": [EpochMetrics(**{**point, "scores": _by_dim(point["scores"])}) for point in values["curve"]],
            "compared": [(str(what), int(dim)) for what, dim in values["compared"]],
            "changed": [Changed(**{**row, **{key: _hits(row[key]) for key in ("before", "after")}})
                        for row in values["changed"]],
        }  # fmt: skip
        return cls(**{**values, **read})


def keep_report(models: Path, report: TrainReport) -> None:
    """Keep it for the model of its name."""
    disk.make_folder(models / REPORTS)
    as_read = parse_json(json.dumps(asdict(report)))  # the checksum is of what will be read
    write_atomically(_path(models, report.model), with_checksum(as_read))


def read_report(models: Path, model: str) -> TrainReport | None:
    """What is kept of a model's training; None where there is nothing, the model is no more or another one has its name
    now, or it cannot be read."""
    path = _path(models, model)
    if path.parent != models / REPORTS or not (models / model / FILES[0]).is_file():
        return None
    try:
        report = TrainReport.from_json(verify(path.read_bytes(), required=True))
        return report if report.neck in ("", hashes_of(models / model)[1]) else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ModelError) as error:
        log.warning("what came of the training of '%s' cannot be read: %s", model, reason(error))
        return None


def trained_on(models: Path, gallery: str) -> Iterator[str]:
    """The models that the gallery with this id has taught, the last one first."""
    kept = sorted((models / REPORTS).glob("*.json"), key=lambda path: -path.stat().st_mtime)
    for path in kept:
        report = read_report(models, path.stem)
        if report and report.gallery == gallery:
            yield report.model


def _path(models: Path, model: str) -> Path:
    return models / REPORTS / f"{model}.json"


def _compared(result: TrainResult) -> dict[str, Evaluation]:
    """What stands beside each other for every domain, by what it is called."""
    before = None if result.before == RAW else result.of(result.before, result.before_dim)
    found = {
        to_say("Raw"): result.of(RAW, result.dim),
        PCA.upper(): result.of(PCA, result.dim),
        to_say("Before"): before,
        to_say("After"): result.of(result.model, result.dim),
    }
    return {what: evaluation for what, evaluation in found.items() if evaluation}


def _measured(result: TrainResult, other: Evaluation) -> Measured:
    new = result.of(result.model, other.dim if other.dim in result.neck.dims else result.dim)
    change = None if new is None or other is new else difference(new, other)
    return Measured(other.model, other.dim, other.overall(), other.macro().value, change)


def _domains(result: TrainResult, compared: list[Evaluation]) -> list[OfDomain]:
    old, new = result.of(result.before, result.before_dim), result.of(result.model, result.dim)
    rows = []
    for parts in zip(*(evaluation.domains for evaluation in compared)):
        name, scores = parts[0].name, tuple(part.mmp5.value for part in parts)
        change = difference(new, old, domain=name) if new and old else None
        rows.append(OfDomain(name, parts[0].queries, scores, change))
    return rows


def _by_ids(changed: Changed, ids: list[int]) -> Changed:
    before, after = ([(ids[at], right) for at, right in hits] for hits in (changed.before, changed.after))
    return replace(changed, query=ids[changed.query], before=before, after=after)


def _estimate(values: dict[str, float] | None) -> Estimate | None:
    return Estimate(**values) if values else None


def _by_dim(scores: dict[str, float]) -> dict[int, float]:
    return {int(dim): value for dim, value in scores.items()}


def _hits(rows: list[list[Any]]) -> list[tuple[int, bool]]:
    return [(int(item), bool(right)) for item, right in rows]
