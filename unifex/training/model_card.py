"""The README.md of a trained model: data, recipe, scores with their intervals, limits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from unifex.evaluation.metrics import Estimate
from unifex.models.embedder import Embedder
from unifex.training.config import TrainConfig
from unifex.training.result import TrainResult


def write_card(path: Path, outcome: TrainResult, embedder: Embedder, note: str = "") -> None:
    """Write the card of a model on ``embedder``'s backbone; ``note`` says more of the data."""
    path.write_text(card(outcome, embedder, note), encoding="utf-8")


def card(outcome: TrainResult, embedder: Embedder, note: str = "") -> str:
    """The card as Markdown."""
    data, backbone = outcome.data, embedder.backbone
    return f"""# {outcome.model}

A neck for image retrieval: {backbone.feature_dim} features of {backbone.title} to {_list(outcome.neck.dims)}
dimensions, each a prefix of the next. Cosine similarity. Backbone: {backbone.weights}, {backbone.licence}, frozen.

## Data

{len(data.train):,} images of {data.classes:,} classes in {data.domains:,} domains. Left out: {data.copies:,}
byte-identical copies, {len(data.small):,} classes of fewer than {outcome.recipe.min_images} images. {note}

## Recipe

{_recipe(outcome.recipe)}

## Scores

{_scores(outcome)}
## Limits

Classes of other domains than those above were neither trained on nor measured: there the neck may be worse than the
plain features. Measure it on labelled images of your own before you rely on it (`python -m unifex evaluate`).
"""


def _list(dims: tuple[int, ...]) -> str:
    return ", ".join(map(str, dims))


def _recipe(recipe: TrainConfig) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asdict(recipe).items()) + "."


def _scores(outcome: TrainResult) -> str:
    if not outcome.evaluations:
        return f"Not measured: {outcome.data.unmeasured or 'nothing was held out'}.\n"
    first = outcome.evaluations[0]
    lines = [
        f"mMP@5 of {first.queries:,} queries of {outcome.data.held_out_classes:,} classes that were",
        f"not trained on, among {len(first.split.items):,} items, with 95% intervals. {outcome.advice}\n",
        "| model | dimensions | mMP@5 | 95% interval | mean over domains |",
        "| --- | --- | --- | --- | --- |",
    ]
    for e in outcome.evaluations:
        score = e.overall()
        lines.append(f"| {e.model} | {e.dim} | {score.value:.3f} | {_interval(score)} | {e.macro().value:.3f} |")
    own = [e for e in outcome.evaluations if e.model == outcome.model]
    lines += ["", f"| domain | queries | {' | '.join(f'{e.dim}-d' for e in own)} |", "| --- " * (2 + len(own)) + "|"]
    for rows in zip(*(e.domains for e in own)):
        cells = " | ".join(f"{row.mmp5.value:.3f} ({_interval(row.mmp5)})" for row in rows)
        lines.append(f"| {rows[0].name or 'no domain'} | {rows[0].queries} | {cells} |")
    return "\n".join(lines) + "\n"


def _interval(score: Estimate) -> str:
    return f"{score.low:.3f}–{score.high:.3f}"
