"""Detect a loss that is NaN or infinite, without making the GPU wait for the host at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from geomoe.errors import DivergedError
from geomoe.support.ranks import gathered

if TYPE_CHECKING:
    from torch import Tensor

    from geomoe.algorithms.contract import Now

EVERY = 100  # updates between checks by the host: one wait in a hundred steps costs nothing
NAMED = 8  # largest number of samples of the batch that a message names


class Divergence:
    """The first update whose loss is NaN or infinite, and the rows of its batch; kept on the device.

    Args:
        batch_size: largest number of samples in a batch of a process.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._found: Tensor | None = None  # (2 + batch size,): update, epoch, rows; -1: none

    @torch.no_grad()
    def watch(self, total: Tensor, index: Tensor, now: Now) -> None:
        """Look at the loss of a batch, whose samples are rows ``index`` (B,) of the training data."""
        if self._found is None:
            self._found = index.new_full((2 + self.batch_size,), -1)
        # the buffer is filled on the device, and only when the loss is not finite for the first time
        lost = (self._found[0] < 0) & ~total.detach().isfinite()
        here = torch.full_like(self._found, -1)
        here[0], here[1] = now.step, now.epoch
        here[2 : 2 + len(index)] = index[: self.batch_size]
        self._found = torch.where(lost, here, self._found)

    @staticmethod
    def due(step: int) -> bool:
        """Whether the host checks before this update; it always checks at the end of an epoch."""
        return step > 0 and step % EVERY == 0

    def refuse(self, data: Any) -> None:  # noqa: ANN401 - any training data set
        """Stop the training if a loss was not finite; every process has to call this.

        Raises:
            DivergedError: a loss was not finite; the error names the update, the epoch and samples of the
                batch.
        """
        if self._found is None:
            return
        found = gathered(self._found[None]).tolist()
        lost = [one for one in found if one[0] >= 0]
        if lost:
            step, epoch = min((one[0], one[1]) for one in lost)
            rows = [row for one in lost if one[0] == step for row in one[2:] if row >= 0]
            raise DivergedError(
                f"training diverged: the loss is not finite since update {step + 1} (epoch {epoch}), whose "
                f"batch has {_names(rows, data)}; lower --optimizer.lr, or set --trainer.gradient_clip 1.0"
            )


def _names(rows: list[int], data: Any) -> str:  # noqa: ANN401 - any training data set
    named = ", ".join(data.name_of(row) for row in rows[:NAMED])
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"{named}{more}"
