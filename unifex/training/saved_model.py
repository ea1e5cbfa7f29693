"""What a training leaves in the folder of models: the model, its card and its curves."""

from __future__ import annotations

from pathlib import Path

from unifex.core.files import new_folder
from unifex.models import descriptions
from unifex.models.embedder import Embedder, ModelConfig
from unifex.models.trained_on import CLASSES
from unifex.training.held_out import TrainingData
from unifex.training.model_card import write_card
from unifex.training.report import TrainReport, keep_report
from unifex.training.result import TrainResult


def _description(data: TrainingData) -> str:
    of_classes = descriptions.OF_KNOWN_CLASSES if data.known else descriptions.OF_CLASSES
    form = descriptions.OF_IMAGES if data.held_out_images else of_classes
    return form.format(images=len(data.train), classes=data.classes, others=data.held_out_classes, known=data.known)


def save(result: TrainResult, embedder: Embedder, folder: Path, note: str = "", gallery: str = "") -> None:
    """Write the model: config.json, model.safetensors, README.md (its card, with a ``note`` on the data) and
    training.csv, at once or not at all; beside it what the ``gallery`` with this id shows of its training."""
    own = [e for e in result.evaluations if e.model == result.model]
    scores = {str(e.dim): {"mmp5": round(e.overall().value, 4), "macro_mmp5": round(e.macro().value, 4)} for e in own}
    backbone = embedder.backbone.adapted(result.adaptation) if result.adaptation else embedder.backbone
    model_config = ModelConfig(
        name=folder.name,
        backbone=embedder.config.backbone,
        backbone_hash=backbone.weight_hash(),
        neck=result.neck.kind,
        dims=result.neck.dims,
        default_dim=result.dim,
        description=_description(result.data),
        scores=scores,
        training={
            "recipe": result.config.used,
            "verdict": result.verdict,
            CLASSES: list(result.marks),
        },
    )
    with new_folder(folder) as made:
        Embedder(model_config, result.neck, backbone).save(made)
        (made / "training.csv").write_text(result.curves_csv(), encoding="utf-8")
        write_card(made / "README.md", result, embedder, note)
        if gallery:
            keep_report(folder.parent, TrainReport.of(result, gallery))
