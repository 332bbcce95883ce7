"""Pairs of domains within a class: which samples of a batch are compared with each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geomoe.errors import InputError


class ClassPairs(NamedTuple):
    """The cells (domain, class) of a batch, and the pairs of cells of the same class in two domains.

    B samples, K cells that occur, G pairs, F of them with at least two samples on both sides. Made by
    :meth:`of`, which computes everything that the host has to know, so that a loss needs no loop over
    pairs and does not wait for the device.

    Attributes:
        cell: (B,) number of each sample's cell; K where it has none.
        sizes: (K,) number of samples in each cell.
        domains: (K,) domain of each cell.
        first: (G,) cell of the lower domain.
        second: (G,) cell of the higher domain.
        pair: (B, B) number of the pair whose first cell contains the row's sample and whose second cell
            contains the column's; G if there is none.
        free: (F,) numbers of the pairs with at least two samples on both sides.
        rows: (F, n) samples of their first cells, padded with B.
        columns: (F, m) samples of their second cells, padded with B.
    """

    cell: Tensor
    sizes: Tensor
    domains: Tensor
    first: Tensor
    second: Tensor
    pair: Tensor
    free: Tensor
    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, label: Tensor, domain: Tensor) -> ClassPairs:
        """The pairs of a batch. The host waits for the device once, so call this before the network runs.

        Args:
            label: (B,) class ids.
            domain: (B,) domain ids; samples with a negative id belong to no cell.

        Raises:
            InputError: wrong shapes.
        """
        if label.ndim != 1 or label.shape != domain.shape:
            got = f"{tuple(label.shape)} and {tuple(domain.shape)}"
            msg = f"class_pairs: expected label and domain of one shape (B,); got {got}"
            raise InputError(msg)
        labels, domains = torch.stack([label.long(), domain.long()]).cpu().numpy()
        found = _pairs(labels, domains)
        tensors = [torch.from_numpy(value) for value in found]
        cell, sizes, cell_domains, first, second, table, free, rows, columns = (
            value.to(label.device, non_blocking=True) for value in tensors
        )
        pair = table[cell[:, None], cell[None, :]]
        return cls(cell, sizes, cell_domains, first, second, pair, free, rows, columns)

    @property
    def shares(self) -> Tensor:
        """(G,) float64: 1 / (number of sample pairs) of each pair of cells."""
        return 1.0 / (self.sizes[self.first] * self.sizes[self.second]).double()

    def cell_means(self, values: Tensor) -> Tensor:
        """Means over the samples of each cell: (B, E) to (K, E)."""
        members = (self.cell[None, :] == torch.arange(len(self.sizes), device=self.cell.device)[:, None]).to(
            values.dtype
        )
        return members @ values / self.sizes[:, None].to(values.dtype)


def _pairs(labels: np.ndarray, domains: np.ndarray) -> list[np.ndarray]:
    """The fields of ClassPairs, with the (K + 1, K + 1) table of pairs instead of ``pair``."""
    known = domains >= 0
    inner = np.unique(labels, return_inverse=True)[1]
    span = int(domains.max(initial=0)) + 1
    keys, cell = np.unique(inner[known] * span + domains[known], return_inverse=True)
    count = len(keys)
    own, of_domain = keys // span, keys % span
    first, second = np.nonzero(np.triu(own[:, None] == own[None, :], 1))
    table = np.full((count + 1, count + 1), len(first))
    table[first, second] = np.arange(len(first))
    cells = np.full(len(labels), count)
    cells[known] = cell
    sizes = np.bincount(cell, minlength=count)
    free = np.flatnonzero(np.minimum(sizes[first], sizes[second]) > 1)
    members = _members(cells, sizes)
    sides = (_trim(members[cell_of[free]], sizes[cell_of[free]]) for cell_of in (first, second))
    return [cells, sizes, of_domain, first, second, table, free, *sides]


def _members(cells: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(K, largest) samples of each cell, in the order of the batch, padded with B."""
    members = np.full((len(sizes), max(sizes.max(initial=0), 1)), len(cells))
    order = np.argsort(cells, kind="stable")[: sizes.sum()]
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    members[cells[order], place] = order
    return members


def _trim(members: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(members[:, : max(sizes.max(initial=0), 1)])
