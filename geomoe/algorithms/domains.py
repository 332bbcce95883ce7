"""Sums, counts and means by domain, without a loop and without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor


class Slots:
    """Positions 0 to D - 1 (slots) of the training domains; ids without training samples, and -1, have none.

    Args:
        domains: (D,) ids, ascending, on the device of the batches.
    """

    def __init__(self, domains: Tensor) -> None:
        self.domains = domains

    def __len__(self) -> int:
        return len(self.domains)

    def of(self, domain: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) slots, and (B,) bool whether a sample's domain has a slot; samples without one get slot 0."""
        slot = torch.searchsorted(self.domains, domain).clamp(max=len(self.domains) - 1)
        known = self.domains[slot] == domain
        return torch.where(known, slot, 0), known

    def sums(self, values: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
        """(D,) sums of per-sample values (B,), and (D,) counts; samples without a slot are left out."""
        slot, known = self.of(domain)
        added = values.new_zeros(len(self)).index_add(0, slot, torch.where(known, values, 0))
        count = values.new_zeros(len(self)).index_add(0, slot, known.to(values.dtype))
        return added, count
