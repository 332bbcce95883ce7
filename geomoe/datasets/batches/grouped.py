"""Batches with equally many samples from each of a few groups: cameras, years, styles, regions."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from geomoe.datasets.batches.shuffled import EpochSampler
from geomoe.errors import ConfigError
from geomoe.support.seeds import mixed_seed
from geomoe.support.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

log = logging.getLogger(__name__)

_KEYS = 1 << 22  # random numbers drawn at once when choosing groups: 32 MB


class GroupedSampler(EpochSampler):
    """Shuffled rows in batches of ``groups_per_batch`` groups, with equally many rows of each group.

    Every step draws that many different groups, uniformly regardless of their size (WILDS'
    ``n_groups_per_batch`` with ``uniform_over_groups``; if it equals the number of groups, every step has
    all groups, as in DomainBed). Within an epoch each group is traversed in random order, and no row repeats
    before the traversal ends; remaining rows, fewer than one share, are not used in this traversal. So no row
    repeats within a step, with one exception: a group with fewer rows than its share of a step contributes
    all of them, some once more than others (WILDS repeats rows too; ``small`` counts such groups).

    The share of a group in a step of ``world_size * batch_size`` rows is divided evenly: each rank has all
    groups of the step, ``batch_size / groups_per_batch`` rows of each, ordered by group. So the rows of a
    step do not depend on the number of devices.

    Rows without a group (negative id) are never drawn; ``left_out`` counts them. The order is a pure
    function of (seed, epoch), and resumes as in :class:`EpochSampler`.

    Args:
        groups: (N,) integer group of each row; negative: none.
        groups_per_batch: number of different groups in a step.
        seed: seed of the order.
        batch_size: rows per step on each rank; a multiple of ``groups_per_batch``.
        rank: index of this process, counted from 0.
        world_size: number of processes that share each step.
        batches: steps per epoch; 0: as many as the rows with a group fill.

    Attributes:
        share: rows of each group in a step, over all ranks.
        num_groups: number of groups.
        small: number of groups with fewer rows than a share.
        left_out: number of rows without a group.

    Raises:
        ConfigError: more groups per batch than exist, a batch size that the groups do not divide, fewer
            rows than one global batch, or a rank that is not below ``world_size``.
    """

    def __init__(
        self,
        groups: NDArray[np.integer],
        groups_per_batch: int,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        batches: int = 0,
    ) -> None:
        groups = np.asarray(groups)
        present = np.unique(groups[groups >= 0])
        if not 1 <= groups_per_batch <= len(present):
            msg = (
                f"data.groups_per_batch: expected 1 to {len(present)}, the domains that train; "
                f"got {groups_per_batch}"
            )
            raise ConfigError(msg)
        if batch_size % groups_per_batch:
            msg = (
                f"data.batch_size: {batch_size} is no multiple of data.groups_per_batch {groups_per_batch}; "
                f"every domain of a batch has the same number of samples"
            )
            raise ConfigError(msg)
        super().__init__(int((groups >= 0).sum()), seed, batch_size, rank, world_size)
        self.groups_per_batch, self._batches = groups_per_batch, batches
        self.left_out = len(groups) - self.size
        self.share = batch_size * world_size // groups_per_batch
        self._members = [torch.from_numpy(np.flatnonzero(groups == group)) for group in present]
        self.num_groups = len(present)
        self.small = sum(len(rows) < self.share for rows in self._members)
        self._fingerprint = zlib.crc32(groups.astype("<i8").tobytes())

    @property
    def batches(self) -> int:
        """Number of batches in a full epoch, the same on every rank."""
        return self._batches or super().batches

    def order(self, epoch: int) -> Tensor:
        """(batches * batch_size,) int64: this rank's rows of an epoch, in order."""
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, epoch))
        chosen = self._choose(generator).flatten()
        visits = chosen.argsort(stable=True).split(chosen.bincount(minlength=len(self._members)).tolist())
        rows = torch.empty(len(chosen), self.share, dtype=torch.int64)
        for members, where in zip(self._members, visits, strict=True):
            rows[where] = _walk(members, len(where), self.share, generator)
        by_rank = rows.view(self.batches, self.groups_per_batch, self.world_size, -1)
        return by_rank[:, :, self.rank].flatten()

    def _choose(self, generator: torch.Generator) -> Tensor:
        """Return (batches, groups_per_batch) positions of the groups of each step, ascending."""
        groups = len(self._members)
        steps = max(_KEYS // groups, 1)  # in chunks: all steps at once may not fit into memory
        parts = []
        for start in range(0, self.batches, steps):
            size = (min(steps, self.batches - start), groups)
            keys = torch.rand(size, dtype=torch.float64, generator=generator)
            parts.append(keys.argsort(dim=1)[:, : self.groups_per_batch])
        return torch.cat(parts).sort(dim=1).values

    def state_dict(self) -> dict[str, int]:
        """Return the parameters of the order, and the epoch."""
        return {
            **super().state_dict(),
            "groups_per_batch": self.groups_per_batch,
            "batches": self.batches,
            "groups": self._fingerprint,
        }


def _walk(members: Tensor, visits: int, share: int, generator: torch.Generator) -> Tensor:
    """Return (visits, share) rows of one group for its visits, without repeats if it has enough rows."""
    size = len(members)
    if size < share:
        keys = torch.rand(visits, size, dtype=torch.float64, generator=generator)
        return members[keys.argsort(dim=1)].repeat(1, -(-share // size))[:, :share]
    whole = size // share  # visits covered by one traversal of the group
    walks = [torch.randperm(size, generator=generator)[: whole * share] for _ in range(-(-visits // whole))]
    return members[torch.cat(walks)].view(-1, share)[:visits] if walks else members.new_empty(0, share)


def grouped_sampler(
    data: LabelledImages,
    groups_per_batch: int,
    batches: int,
    seed: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
) -> GroupedSampler:
    """Make a sampler whose groups are the domains of a data set; arguments as for :class:`GroupedSampler`.

    Samples of unknown domain and of ``data.uncounted`` domains (FMoW's region "Other") are left out:
    otherwise a few images would be drawn as often as a whole continent and fill a sixth of every batch. The
    log counts these samples, and the domains too small for their share.
    """
    groups = np.where(in_groups(data), data.domains, -1)
    sampler = GroupedSampler(groups, groups_per_batch, seed, batch_size, rank, world_size, batches)
    if rank == 0 and sampler.left_out:
        left = counted(
            sampler.left_out, "training sample of no domain is", "training samples of no domain are"
        )
        log.info("%s left out of grouped batches", left)
    if rank == 0 and sampler.small:
        log.info(
            "%d of %d domains have fewer training samples than their share of a batch (%d): they repeat",
            sampler.small, sampler.num_groups, sampler.share,
        )  # fmt: skip
    return sampler


def in_groups(data: LabelledImages) -> NDArray[np.bool_]:
    """Return (N,) flags of the samples whose domain may be a group of a batch."""
    alone = [data.regions.index(name) for name in data.uncounted if name in data.regions]
    return (data.domains >= 0) & ~np.isin(data.domains, alone)
