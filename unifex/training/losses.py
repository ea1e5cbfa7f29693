"""Margin losses: cosines between embeddings and class centres -> one number to minimise.

Every loss sees cosines only, so one table of centres serves all prefixes of a nested neck, whatever the sub-centres.
A loss changes the cosine of the right class (``target``) or all of them (``logits``) and takes the cross-entropy; it
is a class here and a line of ``LOSSES`` (``config.py``).
Angles are in radians. Centres and losses are dropped when a neck is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from unifex.core.errors import UnifexError
from unifex.core.language import say
from unifex.training.config import LOSSES

CLASSES_AT_ONCE = 2048  # so that their cosines to a batch stay in the cache
_EPSILON = 1e-6  # keeps angles off 0 and pi, where the slope of acos is infinite


class LossError(UnifexError):
    """A loss that is not known, or a setting it cannot work with; the message lists what there is."""


class Centres(nn.Module):
    """``sub_centres`` directions a class: ``weight`` float32 [classes * sub_centres, dim], class by class."""

    def __init__(self, classes: int, dim: int, sub_centres: int = 1, generator: torch.Generator | None = None):
        super().__init__()
        self.sub_centres = sub_centres
        self.weight = nn.Parameter(torch.empty(classes * sub_centres, dim))
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def cosines(self, embeddings: Tensor, dim: int) -> Tensor:
        """Embeddings [B, D] -> cosine to the nearest sub-centre of every class on the first ``dim`` values: [B, C].

        Deng et al. 2020, Sub-center ArcFace, section 3.3: cos(theta_j) = max over k of W_jk . x.
        """
        embeddings, weight = normalize(embeddings[:, :dim]), self.weight[:, :dim]
        if self.sub_centres == 1:
            return embeddings @ normalize(weight).T
        return _Nearest.apply(embeddings, weight, self.sub_centres)


class _Nearest(torch.autograd.Function):
    """Cosines to the nearest of k sub-centres, and their slopes, some classes at a time.

    The cosines to all sub-centres, [B, C k], would be written and read several times, which takes longer than computing
    them; here they stay in the processor's cache, and only which was the nearest is kept.
    """

    @staticmethod
    def forward(ctx, embeddings: Tensor, weight: Tensor, sub_centres: int) -> Tensor:
        lengths = weight.norm(dim=1, keepdim=True).clamp_(min=1e-12)  # as torch's normalize does
        units = weight / lengths
        best = embeddings.new_empty(len(embeddings), len(weight) // sub_centres)
        which = torch.empty(best.shape, dtype=torch.uint8)
        for classes, rows in _chunks(best.shape[1], sub_centres):
            nearest = embeddings @ units[rows[0]].T
            for k, own in enumerate(rows[1:], 1):
                found = embeddings @ units[own].T
                nearer = (found > nearest).view(torch.uint8)
                which[:, classes] = nearer if k == 1 else torch.maximum(which[:, classes], nearer * k)
                torch.maximum(nearest, found, out=nearest)
            best[:, classes] = nearest
        ctx.save_for_backward(embeddings, units, lengths, which)
        ctx.sub_centres = sub_centres
        return best

    @staticmethod
    def backward(ctx, slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        embeddings, units, lengths, which = ctx.saved_tensors
        of_embeddings, of_weight = torch.zeros_like(embeddings), torch.empty_like(units)
        for classes, rows in _chunks(which.shape[1], ctx.sub_centres):
            slope, number = slopes[:, classes], which[:, classes]
            for k, own in enumerate(rows):
                pulled, unit = slope * (number == k), units[own]
                of_embeddings.addmm_(pulled, unit)
                of_unit = pulled.T @ embeddings
                inward = (unit * of_unit).sum(1, keepdim=True)
                of_weight[own] = of_unit.addcmul_(unit, inward, value=-1).div_(lengths[own])
        return of_embeddings, of_weight, None


def _chunks(classes: int, sub_centres: int) -> Iterator[tuple[slice, list[slice]]]:
    """Some classes, and the rows of the table that are their first, second, ... sub-centres."""
    for start in range(0, classes, CLASSES_AT_ONCE):
        stop = min(start + CLASSES_AT_ONCE, classes)
        yield (
            slice(start, stop),
            [slice(start * sub_centres + k, stop * sub_centres, sub_centres) for k in range(sub_centres)],
        )


@dataclass(frozen=True)
class Settings:
    """``margin``, ``margin_min`` (of the largest class): radians, for CosFace a cosine; ``scale``: of cosines."""

    margin: float = 0.5
    scale: float = 30.0
    margin_min: float = 0.2


class NormalisedSoftmax(nn.Module):
    """Cross-entropy of s cos(theta_j): no margin, the control (Wang et al. 2017, NormFace, arXiv 1704.06369)."""

    all_gather: Callable[[Tensor], Tensor]  # rows of this process -> of all that share a batch (distributed.py)

    def __init__(self, class_sizes: Tensor, settings: Settings):
        super().__init__()
        self.all_gather = lambda own: own
        self.margin, self.scale = settings.margin, settings.scale

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Cosines [B, C], labels int64 [B], lengths of the embeddings before normalisation [B] -> mean loss, 0-d."""
        return cross_entropy(self.logits(cosines, labels, norms), labels, reduction="sum") / max(1, len(labels))

    def logits(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """What the cross-entropy is taken of: [B, C]."""
        right = labels[:, None]
        target = self.target(cosines.gather(1, right), labels, norms)
        return (cosines * self.scale).scatter_(1, right, target * self.scale)  # in place: [B, C] is large

    def target(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """The right class's cosine [B, 1], made harder to reach."""
        return cosines


class CosFace(NormalisedSoftmax):
    """s (cos(theta_y) - m) (Wang et al. 2018, arXiv 1801.09414, eq. 4)."""

    def target(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        return cosines - self.margin


def _add_angle(cosines: Tensor, margin: float | Tensor) -> Tensor:
    """cos(theta + m); beyond theta = pi - m, where that would rise again, cos(theta) - m sin(m)."""
    margin = torch.as_tensor(margin, dtype=cosines.dtype)
    sines = (1 - cosines.square()).clamp(min=_EPSILON).sqrt()
    added = cosines * margin.cos() - sines * margin.sin()
    return torch.where(cosines > -margin.cos(), added, cosines - margin * margin.sin())


class ArcFace(NormalisedSoftmax):
    """s cos(theta_y + m) (Deng et al. 2019, arXiv 1801.07698, eq. 3)."""

    def target(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        return _add_angle(cosines, self.margin)


class DynamicMarginArcFace(ArcFace):
    """ArcFace whose margin grows as a class gets smaller (Florek et al. 2024, arXiv 2409.13513).

    With n' = (n - n_min) / (n_max - n_min): m = m_min + (m_max - m_min) (1 + cos(pi n')) / 2; m_max is ``margin``.
    Where all classes are equally large, all have the margin in the middle.
    """

    margins: Tensor

    def __init__(self, class_sizes: Tensor, settings: Settings):
        super().__init__(class_sizes, settings)
        sizes = class_sizes.double()
        spread = sizes.max() - sizes.min()
        rank = (sizes - sizes.min()) / spread if spread > 0 else torch.full_like(sizes, 0.5)
        low = min(settings.margin_min, self.margin)
        margins = low + (self.margin - low) * (1 + torch.cos(math.pi * rank)) / 2
        self.register_buffer("margins", margins.float())

    def target(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        return _add_angle(cosines, self.margins[labels][:, None])


class FixedAdaCos(NormalisedSoftmax):
    """No margin, s = sqrt(2) log(C - 1) (Zhang et al. 2019, arXiv 1905.00292); at least sqrt(2) log(2).

    ``scale`` is not heeded: finding it is what AdaCos is for.
    """

    def __init__(self, class_sizes: Tensor, settings: Settings):
        super().__init__(class_sizes, settings)
        self.scale = math.sqrt(2) * math.log(max(2, len(class_sizes) - 1))


class AdaCos(FixedAdaCos):
    """No margin; the scale follows training (Zhang et al. 2019).

    s = log(B) / cos(min(pi/4, median theta_y)), B the batch's mean sum over wrong classes of exp(s cos(theta_j)).
    """

    def __init__(self, class_sizes: Tensor, settings: Settings):
        super().__init__(class_sizes, settings)
        self.register_buffer("current", torch.tensor(float(self.scale)))

    def logits(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        if self.training and cosines.shape[1] > 1:
            self._follow(cosines.detach(), labels[:, None])
        return cosines * self.current

    def _follow(self, cosines: Tensor, right: Tensor) -> None:
        angles = self.all_gather(cosines.gather(1, right)).clamp(-1, 1).acos()
        if not len(angles):
            return
        angle = angles.median().clamp(max=math.pi / 4)
        wrong = (self.current * cosines).scatter(1, right, -torch.inf)
        log_mean = torch.logsumexp(self.all_gather(torch.logsumexp(wrong, 1)), 0) - math.log(len(angles))
        # Beneath the log of one wrong class at cosine 0 a scale would turn the loss upside down.
        self.current = (log_mean / angle.cos()).clamp(min=math.sqrt(2) * math.log(2))


class LiArcFace(NormalisedSoftmax):
    """s (pi - 2 (theta_y + m)) / pi, and s (pi - 2 theta_j) / pi (Li et al. 2019, AirFace, arXiv 1907.12256)."""

    def logits(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        angles = cosines.clamp(-1 + _EPSILON, 1 - _EPSILON).acos()
        angles = angles.scatter_add(1, labels[:, None], angles.new_full((len(labels), 1), self.margin))
        return self.scale * (math.pi - 2 * angles) / math.pi


class CurricularFace(ArcFace):
    """ArcFace; a wrong class nearer than the right one with its margin counts as cos (t + cos).

    Huang et al. 2020, arXiv 2004.00288; t is the moving mean of cos(theta_y), momentum 0.99.
    """

    momentum = 0.99

    def __init__(self, class_sizes: Tensor, settings: Settings):
        super().__init__(class_sizes, settings)
        self.register_buffer("difficulty", torch.zeros(()))

    def logits(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        right = labels[:, None]
        target = cosines.gather(1, right)
        harder = _add_angle(target, self.margin)
        if self.training and len(seen := self.all_gather(target.detach())):
            self.difficulty = torch.lerp(seen.mean(), self.difficulty, self.momentum)
        weighted = torch.where(cosines > harder, cosines * (self.difficulty + cosines), cosines)
        return weighted.scatter(1, right, harder) * self.scale


class AdaFace(NormalisedSoftmax):
    """s (cos(theta_y + g_angle) - g_add), both by the embedding's length, which stands for the image's quality.

    Kim et al. 2022, arXiv 2204.00964: q = clip(h (length - mean) / deviation, -1, 1), g_angle = -m q,
    g_add = m q + m; mean and deviation are moving means over batches with momentum 0.99; h = 0.333.
    """

    momentum, concentration = 0.99, 0.333

    def __init__(self, class_sizes: Tensor, settings: Settings):
        super().__init__(class_sizes, settings)
        self.register_buffer("mean", torch.tensor(torch.nan))
        self.register_buffer("deviation", torch.tensor(torch.nan))

    def target(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        lengths = norms.detach().clamp(1e-3, 100)
        if self.training and len(seen := self.all_gather(lengths)):
            self.mean = self._moved(self.mean, seen.mean())
            self.deviation = self._moved(self.deviation, seen.std(correction=0))
        quality = (self.concentration * (lengths - self.mean) / (self.deviation + 1e-3)).nan_to_num().clamp(-1, 1)
        angles = cosines.clamp(-1 + _EPSILON, 1 - _EPSILON).acos() - self.margin * quality[:, None]
        return angles.clamp(1e-3, math.pi - 1e-3).cos() - self.margin * (1 + quality[:, None])

    def _moved(self, old: Tensor, new: Tensor) -> Tensor:
        """The first batch starts the moving mean: a start from a guess would take hundreds of steps to forget."""
        return new if torch.isnan(old) else torch.lerp(new, old, self.momentum)


class NestedLoss(nn.Module):
    """One loss on every prefix of the embeddings, over one table of centres; the mean over prefixes.

    Matryoshka (Kusupati et al. 2022, arXiv 2205.13147, eq. 1) with tied centres and equal weights. A loss that keeps
    state (a moving scale, a moving mean) keeps one for every prefix. ``settings`` and ``sub_centres`` default to those
    of the loss's paper.
    """

    def __init__(
        self,
        name: str,
        class_sizes: Tensor,
        dims: Sequence[int],
        settings: Settings | None = None,
        sub_centres: int | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if name not in LOSSES:
            raise LossError(say("no loss '{name}'; there are: {known}", name=name, known=", ".join(LOSSES)))
        if not len(class_sizes):
            raise LossError(say("no class to train on"))
        loss = LOSSES[name]
        self.dims = tuple(dims)
        self.centres = Centres(len(class_sizes), self.dims[-1], sub_centres or loss.sub_centres, generator)
        implementation: type[NormalisedSoftmax] = globals()[loss.implementation]
        settings = settings or Settings(loss.margin)
        self.losses = nn.ModuleList(implementation(class_sizes, settings) for _ in self.dims)

    def gather_by(self, all_gather: Callable[[Tensor], Tensor]) -> None:
        """Have the losses look at the rows of all processes: ``all_gather`` makes them of this one's."""
        for loss in self.losses:
            loss.all_gather = all_gather  # pyright: ignore[reportArgumentType]  # torch's modules take any attribute

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings [B, D] as the neck gives them, not normalised; labels int64 [B] -> mean loss, 0-d."""
        total = embeddings.new_zeros(())
        for dim, loss in zip(self.dims, self.losses):
            cosines = self.centres.cosines(embeddings, dim)
            total = total + loss(cosines, labels, embeddings[:, :dim].norm(dim=1))
        return total / len(self.dims)
