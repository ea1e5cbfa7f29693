"""The README.md of a trained model: the hub's metadata, then data, recipe, scores with their intervals, limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unifex.evaluation.metrics import Estimate
from unifex.models.embedder import Embedder
from unifex.training.config import TrainConfig
from unifex.training.result import TrainResult

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

    from unifex.models.backbones import BackboneSpec

METRIC = "mMP@5"


TAGS = ["image-retrieval", "image-embeddings", "metric-learning"]


def write_card(path: Path, result: TrainResult, embedder: Embedder, note: str = "") -> None:
    """Write the card of a model on ``embedder``'s backbone; ``note`` says more of the data."""
    path.write_text(str(card(result, embedder, note)), encoding="utf-8")


def card(result: TrainResult, embedder: Embedder, note: str = "") -> ModelCard:
    """The card: what the hub lists and filters by, then the text."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    own = [evaluation for evaluation in result.evaluations if evaluation.model == result.model]
    licence = embedder.backbone.licence.lower()  # without the backbone the neck is of no use
    kind = "images" if result.data.held_out_images else "classes"
    head = ModelCardData(
        model_name=result.model,
        library_name="unifex",
        license=licence if " " not in licence else "other",
        pipeline_tag="image-feature-extraction",
        tags=TAGS if result.config.in_one_step else [*TAGS, result.config.loss],
        metrics=[METRIC],
        eval_results=[
            EvalResult(
                task_type="image-retrieval", dataset_type=f"held-out-{kind}", dataset_name=f"{kind} not trained on",
                dataset_config=f"{evaluation.dim}-d", metric_type=METRIC,
                metric_value=round(evaluation.overall().value, 4),
            )
            for evaluation in own
        ],
    )  # fmt: skip
    return ModelCard(f"---\n{head.to_yaml()}\n---\n\n{_text(result, embedder, note)}")


def _text(result: TrainResult, embedder: Embedder, note: str) -> str:
    data, backbone = result.data, embedder.backbone
    return f"""# {result.model}

A neck for image retrieval: {backbone.feature_dim} features to {_list(result.neck.dims)} dimensions, each a prefix
of the next. Cosine similarity. Backbone: {backbone.title}, of {backbone.weights}, {backbone.licence},
{_state(result, backbone)}.

## Data

{len(data.train):,} images of {data.classes:,} classes in {data.domains:,} domains. Left out: {data.copies:,}
byte-identical copies, {len(data.small):,} classes of fewer than {result.config.min_images} images. {note}

## Recipe

{_recipe(result.config)}

## Scores

{_scores(result)}
## Limits

Classes of other domains than those above were neither trained on nor measured: there the neck may be worse than the
plain features. Measure it on labelled images of your own before you rely on it (`python -m unifex evaluate`).
"""


def _state(result: TrainResult, backbone: BackboneSpec) -> str:
    if result.adaptation:
        return "whose last blocks learned, too: what changed is in model.safetensors"
    return "frozen; what it was adapted by before is in model.safetensors" if backbone.adaptation else "frozen"


def _list(dims: tuple[int, ...]) -> str:
    return ", ".join(map(str, dims))


def _recipe(config: TrainConfig) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config.used.items()) + "."


def _scores(result: TrainResult) -> str:
    if not result.evaluations:
        return f"Not measured: {result.data.unmeasured or 'nothing was held out'}.\n"
    first = result.evaluations[0]
    lines = [
        f"mMP@5 of {first.queries:,} queries {result.data.measured_on},",
        f"among {len(first.split.items):,} items, with 95% intervals. {result.advice}\n",
        "| model | dimensions | mMP@5 | 95% interval | mean over domains |",
        "| --- | --- | --- | --- | --- |",
    ]
    for e in result.evaluations:
        score = e.overall()
        lines.append(f"| {e.model} | {e.dim} | {score.value:.3f} | {_interval(score)} | {e.macro().value:.3f} |")
    own = [e for e in result.evaluations if e.model == result.model]
    lines += ["", f"| domain | queries | {' | '.join(f'{e.dim}-d' for e in own)} |", "| --- " * (2 + len(own)) + "|"]
    for rows in zip(*(e.domains for e in own)):
        cells = " | ".join(f"{row.mmp5.value:.3f} ({_interval(row.mmp5)})" for row in rows)
        lines.append(f"| {rows[0].name or 'no domain'} | {rows[0].queries} | {cells} |")
    return "\n".join(lines) + "\n"


def _interval(score: Estimate) -> str:
    return f"{score.low:.3f}–{score.high:.3f}"
