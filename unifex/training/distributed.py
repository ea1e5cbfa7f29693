"""Several processes that train as one: each takes its shard of every batch, and their gradients are added.

``torchrun --nproc-per-node N -m unifex train ...`` starts them; gloo carries what they tell each other. All hold the
same weights and draw the same random numbers, so that the result is that of one process, up to the order of sums.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(hours=12)  # the first process may measure, or augment, while the others wait


@dataclass(frozen=True)
class Processes:
    """This one is ``rank`` of ``count``."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def shard(self, length: int) -> slice:
        """The rows of a batch that are this process's: consecutive, all together the whole."""
        return slice(length * self.rank // self.count, length * (self.rank + 1) // self.count)

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Replace each by its sum over all processes."""
        if self.count > 1:
            from torch import distributed

            for tensor in tensors:
                distributed.all_reduce(tensor)

    def all_gather(self, own: Tensor) -> Tensor:
        """Everybody's rows, in order of rank; no gradient flows through them. Shards may differ by a row."""
        if self.count == 1:
            return own
        import torch
        from torch import distributed

        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        distributed.all_gather(lengths, torch.tensor([len(own)]))
        longest = int(max(lengths))
        padded = own.new_zeros((longest, *own.shape[1:]))
        padded[: len(own)] = own.detach()
        found = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(found, padded)
        return torch.cat([rows[: int(length)] for rows, length in zip(found, lengths)])

    def broadcast(self, value: Any) -> Any:
        """What the first process has, for all."""
        if self.count == 1:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def wait(self) -> None:
        """Until all are here."""
        self.broadcast(None)


SINGLE = Processes()


@contextlib.contextmanager
def init() -> Iterator[Processes]:
    """The processes that torchrun started; without it, this one alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
