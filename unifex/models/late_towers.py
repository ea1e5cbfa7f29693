"""The last blocks of a tower of timm or open_clip apart from what comes before them.

Libraries build their networks in many ways, but all of them call block after block. So a tower is run as it is: up to
the first late block, whose input is taken; or from there, with that input put back, while the blocks before it do
nothing to a blank image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from unifex.core.language import say
from unifex.models.towers import TowerError

_PLACES = ("blocks", "stages", "layers", "transformer.resblocks", "trunk.blocks", "trunk.stages", "trunk.layers")


class _Reached(Exception):
    """How a run ends that goes no further; no error."""

    def __init__(self, maps: torch.Tensor):
        self.maps = maps


class LateTower(torch.nn.Module):
    """A tower as a backbone's only stage, images -> {"tower": [B, D]}, that can be run in two parts.

    ``size``: side of its images in pixels.
    """

    def __init__(self, tower: torch.nn.Module, size: int):
        super().__init__()
        self.tower, self.size = tower, size

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Normalised images [B, 3, size, size] -> features [B, D], by the stage's name."""
        return {"tower": self.tower(images)}

    def early(self, images: torch.Tensor, late_blocks: int) -> torch.Tensor:
        """What goes into the first of so many late blocks, [B, ...]. Raises :class:`TowerError` for too many."""
        first = _blocks(self.tower, late_blocks)[1][0]

        def stop(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
            raise _Reached(inputs[0])

        with contextlib.closing(_Hook(first, stop)):
            try:
                self.tower(images)
            except _Reached as reached:
                return reached.maps
        raise TowerError(say("this tower does not call its blocks one after the other; train its neck"))

    def late(self, maps: torch.Tensor, late_blocks: int) -> dict[str, torch.Tensor]:
        """The rest of the way for what :meth:`early` gave."""
        before, (first, *_) = _blocks(self.tower, late_blocks)
        blank = maps.new_zeros((len(maps), 3, self.size, self.size))
        with contextlib.closing(_Hook(first, lambda _, inputs: (maps, *inputs[1:]))), _idle(before):
            return self(blank)

    def learning(self, late_blocks: int) -> dict[str, torch.nn.Parameter]:
        """Weights of the late blocks and of all behind them: those that the features' slope reaches."""
        weights = dict(self.named_parameters())
        wanted = {name: weight.requires_grad for name, weight in weights.items()}
        blank = next(iter(weights.values())).new_zeros((1, 3, self.size, self.size))
        maps = self.early(blank, late_blocks).detach()
        self.requires_grad_(True)
        try:
            slopes = torch.autograd.grad(
                self.late(maps, late_blocks)["tower"].sum(), list(weights.values()), allow_unused=True
            )
        finally:
            for name, weight in weights.items():
                weight.requires_grad_(wanted[name])
        return {name: weights[name] for name, slope in zip(weights, slopes) if slope is not None}


class _Hook:
    def __init__(self, module: torch.nn.Module, hook: Any):
        self._handle = module.register_forward_pre_hook(hook)

    def close(self) -> None:
        self._handle.remove()


@contextlib.contextmanager
def _idle(blocks: list[torch.nn.Module]) -> Iterator[None]:
    """So long these blocks give back what they are given."""
    for block in blocks:
        block.forward = lambda given, *others, **options: given
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _blocks(tower: torch.nn.Module, late: int) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
    """Blocks of a tower before the last ``late`` ones, and these; stages of blocks count by their blocks.

    Raises :class:`TowerError` where they are not found, or fewer.
    """
    for place in _PLACES:
        with contextlib.suppress(AttributeError):
            found = [block for part in tower.get_submodule(place).children() for block in _inside(part)]
            if not 0 < late < len(found):
                raise TowerError(
                    say(
                        "{late} late blocks of {count}: at least one learns, and one stays as it is",
                        late=late,
                        count=len(found),
                    )
                )
            return found[:-late], found[-late:]
    raise TowerError(say("this tower has no blocks that are known here; train its neck"))


def _inside(part: torch.nn.Module) -> list[torch.nn.Module]:
    """The blocks of a stage; a block itself."""
    inner = getattr(part, "blocks", None)
    return list(inner.children()) if isinstance(inner, torch.nn.Sequential | torch.nn.ModuleList) else [part]
