"""The projection from backbone features to embeddings: one affine map, nested so that prefixes are embeddings too.

All three kinds of neck are the same object. Linear: trained weights. PCA: principal axes, optionally scaled.
Pooling: the mean of neighbouring features. This module is the only place where embeddings are L2-normalised.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.core.vectors import l2_normalize
from unifex.models.feature_table import BLOCK_ROWS, Features, blocks

NESTED_DIMS = (64, 128, 256, 512)


class DimensionError(UnifexError):
    """An embedding size that the neck does not have; the message lists those it has."""


KINDS = ("linear", "pca", "pooling", "identity")


@dataclass(frozen=True)
class Neck:
    """``weight`` float32 [out, in], ``bias`` float32 [out]; ``dims`` ascending, the last one equal to ``out``."""

    kind: str
    weight: np.ndarray
    bias: np.ndarray
    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"neck: no kind '{self.kind}'; there are {', '.join(KINDS)}")
        if (self.weight.dtype, self.bias.dtype) != (np.float32, np.float32):
            raise ValueError(f"neck: weight {self.weight.dtype} and bias {self.bias.dtype} are not float32")
        if self.weight.ndim != 2 or self.bias.shape != (self.weight.shape[0],):
            raise ValueError(f"neck: weight {self.weight.shape} and bias {self.bias.shape} do not belong together")
        if not self.dims or list(self.dims) != sorted(set(self.dims)) or self.dims[-1] != len(self.bias):
            raise ValueError(f"neck: dims {self.dims} must ascend to the {len(self.bias)} outputs of its weight")
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ValueError("neck: weights are not finite")

    @property
    def input_dim(self) -> int:
        """Length of the features it takes."""
        return self.weight.shape[1]

    @cached_property
    def hash(self) -> str:
        """sha256 of weights and biases, 16 hexadecimal digits."""
        return hashlib.sha256(self.weight.tobytes() + self.bias.tobytes()).hexdigest()[:16]

    def check_dim(self, dim: int) -> int:
        """``dim`` itself. Raises :class:`DimensionError` if no embedding of this size was trained for."""
        known = ", ".join(map(str, self.dims))
        if not isinstance(dim, int | np.integer):
            raise DimensionError(
                say(
                    "the length of embeddings is a whole number, not {dim!r}; this model has {known}",
                    dim=dim,
                    known=known,
                )
            )
        if dim not in self.dims:
            raise DimensionError(say("no {dim}-d embedding; this model has {known}", dim=dim, known=known))
        return int(dim)

    def embed(self, features: np.ndarray, dim: int) -> np.ndarray:
        """Features [N, in] of any float type -> embeddings float32 [N, dim], L2 norm 1.

        Computed in float64, so that after rounding an image has the same embedding in whatever batch it came.
        """
        self.check_dim(dim)
        return l2_normalize(features.astype(np.float64) @ self._weight64[:dim].T + self.bias[:dim], dim)

    @cached_property
    def _weight64(self) -> np.ndarray:
        return self.weight.astype(np.float64)


def pooling(input_dim: int, dim: int = 64) -> Neck:
    """Adaptive average pooling of the feature vector to ``dim`` values: the training-free baseline of the paper."""
    weight = np.zeros((dim, input_dim), np.float32)
    for row in range(dim):  # the bounds of torch's AdaptiveAvgPool1d
        start, end = row * input_dim // dim, -(-(row + 1) * input_dim // dim)
        weight[row, start:end] = 1 / (end - start)
    return Neck("pooling", weight, np.zeros(dim, np.float32), (dim,))


def pca(
    features: Features,
    dims: tuple[int, ...] = NESTED_DIMS,
    whitening: float = 0.5,
    block_rows: int = BLOCK_ROWS,
    least_variance: float = 0.0,
) -> Neck:
    """Principal axes of ``features`` [N, D], each divided by variance ** ``whitening``.

    0 is plain PCA, 0.5 gives every axis the same variance, 0.25 lies half way. Fewer images than outputs leave the
    missing axes out of ``dims``, unless every axis counts as having ``least_variance`` > 0, a share of their mean:
    then there are D. ``block_rows`` are in memory at a time. Raises :class:`DimensionError` when not even the smallest
    dimension can be had.
    """
    rank = features.shape[1] if least_variance else min(len(features) - 1, features.shape[1])
    dims = tuple(dim for dim in dims if dim <= rank)
    if not dims:
        raise DimensionError(say("PCA needs more than {least} images for its smallest dimension", least=rank + 1))
    mean = sum(block.astype(np.float64).sum(axis=0) for _, block in blocks(features, block_rows)) / len(features)
    centred = (block.astype(np.float64) - mean for _, block in blocks(features, block_rows))
    variance, axes = np.linalg.eigh(sum(block.T @ block for block in centred) / len(features))
    variance = np.maximum(variance, least_variance * variance.mean())
    variance, axes = variance[::-1][: dims[-1]], axes[:, ::-1][:, : dims[-1]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])  # one sign on every machine
    weight = (axes / np.maximum(variance, 1e-12) ** whitening).T
    return Neck("pca", weight.astype(np.float32), (-weight @ mean).astype(np.float32), dims)
