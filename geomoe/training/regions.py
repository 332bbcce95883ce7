"""Validation metrics by region, as a torchmetrics metric: exact sums, added up across processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class RegionMetrics(Metric):
    """Loss and accuracy overall, in each region, and in the worst region that has samples.

    Args:
        regions: names; a sample's domain id is its region's position. Samples of unknown domain (-1)
            count in the overall numbers only.
        uncounted: regions that never are the worst one (FMoW's "Other").
    """

    full_state_update = False
    correct: Tensor
    count: Tensor
    loss: Tensor

    def __init__(
        self,
        regions: Sequence[str],
        uncounted: Sequence[str] = (),
        **kwargs: Any,  # noqa: ANN401 - torchmetrics' own
    ) -> None:
        super().__init__(**kwargs)
        self.regions, self.uncounted = list(regions), set(uncounted)
        slots = len(self.regions) + 1  # the last one: unknown domain (-1 counts from the end)
        zeros = torch.zeros(slots, dtype=torch.int64)
        self.add_state("correct", zeros, dist_reduce_fx="sum")
        self.add_state("count", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("loss", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, label: Tensor, domain: Tensor) -> None:
        """Add a batch: logits (B, C), label (B,), domain (B,) with -1 where unknown."""
        slot = torch.where(domain < 0, len(self.regions), domain)
        self.count.index_add_(0, slot, torch.ones_like(slot))
        self.correct.index_add_(0, slot, (logits.argmax(dim=1) == label).to(slot.dtype))
        self.loss += cross_entropy(logits.float(), label, reduction="sum").double()

    def compute(self) -> dict[str, float]:
        """``loss``, ``acc``, ``mean_region_acc``, ``worst_region_acc``, ``acc_<region>`` for each."""
        count, correct = self.count.tolist(), self.correct.tolist()
        total = max(sum(count), 1)
        by_region = {
            name: hits / samples
            for name, hits, samples in zip(self.regions, correct, count, strict=False)
            if samples
        }
        overall = sum(correct) / total
        counted = [value for name, value in by_region.items() if name not in self.uncounted]
        return {
            "loss": self.loss.item() / total,
            "acc": overall,
            "mean_region_acc": sum(counted) / len(counted) if counted else overall,
            "worst_region_acc": min(counted, default=overall),
            **{f"acc_{key_of(name)}": value for name, value in by_region.items()},
        }


def key_of(name: str) -> str:
    """A region's name inside a metric's: lower case, no spaces or slashes."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower())
