"""Order of training samples as a pure function of (seed, epoch), for any number of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.data import Sampler

from geomoe.errors import ConfigError
from geomoe.support.seeds import mixed_seed

if TYPE_CHECKING:
    from collections.abc import Iterator


class EpochSampler(Sampler[int]):
    """Shuffled rows, equal for equal seed and epoch, resumable at any batch.

    An epoch is a permutation cut into global batches of ``world_size * batch_size`` rows; each rank
    takes its own ``batch_size`` rows of each. So no row repeats in an epoch, and the rows of step n
    do not depend on the number of devices. The remaining rows, fewer than one global batch, are
    dropped; they differ between epochs.

    Workers draw batches ahead of the training step, so the sampler does not know the progress of
    training: the caller sets it with :meth:`set_epoch` and :meth:`resume_at` when resuming.

    Args:
        size: number of rows in the data set.
        seed: seed of the order.
        batch_size: rows per step on each rank.
        rank: index of this process, counted from 0.
        world_size: number of processes that share each step.

    Raises:
        ConfigError: fewer rows than one global batch, or a rank that is not below ``world_size``.
    """

    def __init__(self, size: int, seed: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if not 0 <= rank < world_size:
            msg = f"rank: expected 0 to {world_size - 1} (world_size {world_size}); got {rank}"
            raise ConfigError(msg)
        if batch_size < 1 or size < batch_size * world_size:
            most = size // world_size
            advice = f"; give at most {most}, or null, which fits the data" if most else "; use fewer devices"
            msg = (
                f"data.batch_size: {batch_size} x {world_size} devices, but there are {size} training samples"
            )
            raise ConfigError(msg + advice)
        self.size, self.seed, self.batch_size = size, seed, batch_size
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self._start = 0

    @property
    def batches(self) -> int:
        """Number of batches in a full epoch, the same on every rank."""
        return self.size // (self.batch_size * self.world_size)

    def __len__(self) -> int:
        """Return the number of rows of this rank in a full epoch, wherever iteration starts."""
        return self.batches * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration (Lightning calls this itself)."""
        self.epoch = epoch

    def resume_at(self, batches: int) -> None:
        """Skip the first ``batches`` of the next iteration only: they are already done.

        Raises:
            ConfigError: ``batches`` exceeds the number of batches in an epoch.
        """
        if not 0 <= batches <= self.batches:
            msg = f"resume at batch {batches}: an epoch of this run has {self.batches} batches"
            raise ConfigError(msg)
        self._start = batches

    def __iter__(self) -> Iterator[int]:
        """Yield this rank's rows of the epoch, starting at the batch set by :meth:`resume_at`."""
        start, self._start = self._start, 0
        order = self.order(self.epoch)[start * self.batch_size :]
        return iter(order.tolist())

    def order(self, epoch: int) -> torch.Tensor:
        """(batches * batch_size,) int64: this rank's rows of an epoch, in order."""
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, epoch))
        rows = torch.randperm(self.size, generator=generator)
        rows = rows[: self.batches * self.world_size * self.batch_size]
        return rows.view(self.batches, self.world_size, self.batch_size)[:, self.rank].flatten()

    def state_dict(self) -> dict[str, int]:
        """Return the parameters of the order, and the epoch."""
        return {
            "size": self.size,
            "seed": self.seed,
            "global_batch": self.batch_size * self.world_size,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore the epoch of a stored state.

        Raises:
            ConfigError: the state belongs to a different order.
        """
        own = self.state_dict()
        wrong = [
            f"{key} {state.get(key)} (now {own.get(key)})"
            for key in {**own, **state}
            if key != "epoch" and state.get(key) != own.get(key)
        ]
        if wrong:
            msg = f"cannot resume: the checkpoint's order of samples has {', '.join(wrong)}"
            raise ConfigError(msg)
        self.epoch = state["epoch"]
