"""The samples on which all checkpoints are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages


class Samples(NamedTuple):
    """N samples of one split.

    Attributes:
        rows: (N,) rows of the split, ascending.
        label: (N,) class ids.
        domain: (N,) positions in ``domains``; -1 where unknown.
        lonlat: (N, 2) degrees; NaN where unknown.
        block: (N,) ids of spatial blocks.
        classes: names of all classes.
        domains: names of the domains that have samples.
    """

    rows: NDArray[np.int64]
    label: NDArray[np.int64]
    domain: NDArray[np.int64]
    lonlat: NDArray[np.float64]
    block: NDArray[np.int64]
    classes: tuple[str, ...]
    domains: tuple[str, ...]

    @property
    def placed(self) -> NDArray[np.bool_]:
        """(N,) whether the place is known."""
        return np.equal(np.isnan(self.lonlat).sum(axis=1), 0)


def draw_samples(
    dataset: LabelledImages, rows: NDArray[np.int64], split: str, most: int, seed: int
) -> Samples:
    """Draw samples of a split without repeats; all of them if there are no more than ``most``.

    Args:
        dataset: the split.
        rows: (n,) rows of the split that may be drawn, ascending.
        split: name of the split, for errors.
        most: largest number of samples; 0: all.
        seed: seed of the draw.

    Raises:
        InputError: the split has no samples, or samples of fewer than two domains.
    """
    if not len(rows):
        raise InputError(f"split: {split} has no samples; choose another --split")
    if 0 < most < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    domain = np.asarray(dataset.domains)[rows]
    present = np.unique(domain[domain >= 0])
    if len(present) < 2:
        named = ", ".join(dataset.regions[one] for one in present) or "none that is known"
        msg = f"split: the samples of {split} are of one {dataset.domain_unit} only ({named}); "
        drawn = f"draw more than {most} --samples, or " if 0 < most == len(rows) else ""
        raise InputError(f"{msg}the diagnostics compare several: {drawn}choose another --split")
    position = np.full(len(dataset.regions) + 1, -1)  # the last entry is for -1, unknown
    position[present] = np.arange(len(present))
    return Samples(
        rows,
        np.asarray(dataset.labels)[rows],
        position[domain],
        np.asarray(dataset.lonlat)[rows],
        np.asarray(dataset.blocks)[rows],
        tuple(dataset.classes),
        tuple(dataset.regions[one] for one in present),
    )
