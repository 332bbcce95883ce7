"""Validation metrics by region as a torchmetrics metric, with exact sums across processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from geomoe.metrics import worst_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class RegionMetrics(Metric):
    """Loss, accuracy and macro F1 overall; accuracy in each region and in the worst that has samples.

    Args:
        regions: region names; a domain id is the position of a region. Samples of unknown domain (-1)
            count only in the overall metrics.
        uncounted: regions that never count as the worst one (FMoW's "Other").
        num_classes: C.
    """

    full_state_update = False
    correct: Tensor
    count: Tensor
    loss: Tensor
    hits: Tensor
    true: Tensor
    answered: Tensor

    def __init__(
        self,
        regions: Sequence[str],
        uncounted: Sequence[str] = (),
        *,
        num_classes: int,
        **kwargs: Any,  # noqa: ANN401 - torchmetrics' own
    ) -> None:
        super().__init__(**kwargs)
        self.regions, self.uncounted, self.keys = list(regions), set(uncounted), keys_of(regions)
        slots = len(self.regions) + 1  # the last one: unknown domain (-1 counts from the end)
        zeros = torch.zeros(slots, dtype=torch.int64)
        self.add_state("correct", zeros, dist_reduce_fx="sum")
        self.add_state("count", zeros.clone(), dist_reduce_fx="sum")
        for name in ("hits", "true", "answered"):  # samples of each class: correct, true, predicted
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("loss", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, label: Tensor, domain: Tensor) -> None:
        """Add a batch: logits (B, C), label (B,), domain (B,) with -1 where unknown."""
        slot = torch.where(domain < 0, len(self.regions), domain)
        predicted, one = logits.argmax(dim=1), torch.ones_like(slot)
        right = (predicted == label).to(slot.dtype)
        self.count.index_add_(0, slot, one)
        self.correct.index_add_(0, slot, right)
        self.hits.index_add_(0, label, right)
        self.true.index_add_(0, label, one)
        self.answered.index_add_(0, predicted, one)
        self.loss += cross_entropy(logits.float(), label, reduction="sum").double()

    def compute(self) -> dict[str, float]:
        """``loss``, ``acc``, ``macro_f1``, ``mean_region_acc``, ``worst_region_acc``, each ``acc_<region>``.

        Regions and classes without samples are ignored.
        """
        count, correct = self.count.tolist(), self.correct.tolist()
        total = max(sum(count), 1)
        by_region = {
            name: hits / samples
            for name, hits, samples in zip(self.regions, correct, count, strict=False)
            if samples
        }
        overall = sum(correct) / total
        counted = [value for name, value in by_region.items() if name not in self.uncounted]
        worst = worst_name(by_region, self.uncounted)
        return {
            "loss": self.loss.item() / total,
            "acc": overall,
            "macro_f1": self._macro_f1(),
            "mean_region_acc": sum(counted) / len(counted) if counted else overall,
            "worst_region_acc": overall if worst is None else by_region[worst],
            **{f"acc_{key}": by_region[name] for name, key in self.keys.items() if name in by_region},
        }

    def _macro_f1(self) -> float:
        # as geomoe.metrics.macro_f1: mean over the classes that occur among the labels
        present = self.true > 0
        f1 = 2 * self.hits[present].cpu().double() / (self.true + self.answered)[present].cpu()
        return f1.mean().item() if len(f1) else 0.0


def keys_of(names: Sequence[str]) -> dict[str, str]:
    """Return name -> what it is called in names of metrics: lower case, ``_`` for all but letters and digits.

    Of several names that would be called the same, all but the first have a number: two regions never
    share a metric, and the number of a region does not depend on which regions have samples.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        key = plain = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
        number = 2
        while key in taken:
            key, number = f"{plain}_{number}", number + 1
        taken.add(key)
        found[name] = key
    return found
