"""Batches of a few groups with equally many samples of each: cameras, years, styles, regions."""

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages

log = logging.getLogger(__name__)

_KEYS = 1 << 22  # random numbers drawn at a time when groups are chosen: 32 MB


class GroupedSampler(EpochSampler):
    """Shuffled rows in batches of ``groups_per_batch`` groups, as many rows of each.

    Every step draws that many different groups, each equally likely whatever its size (WILDS'
    ``n_groups_per_batch`` with ``uniform_over_groups``; with as many as there are, all of them come in
    every step, as in DomainBed). Within an epoch a group is walked in random order: no row comes again
    before the walk is through, and what is left at its end, less than one share, waits for the next walk.
    So no row comes twice in a step, with one exception: a group with fewer rows than its share of a step
    gives all of them, some once more than others (WILDS repeats there too; ``small`` counts such groups).

    The share of a group in a step of ``world_size * batch_size`` rows is dealt out evenly: each rank has
    all groups of the step, ``batch_size / groups_per_batch`` rows of each, one group after the other. So
    the rows of a step do not depend on how many devices share them.

    Rows of no group (a negative id) are never drawn; ``left_out`` counts them. The order is a pure
    function of (seed, epoch), and resumes as in :class:`EpochSampler`.

    Args:
        groups: (N,) integer group of each row; negative: none.
        groups_per_batch: different groups in a step.
        seed: of the order.
        batch_size: rows in a step, on each rank; a multiple of ``groups_per_batch``.
        rank: this process, counted from 0.
        world_size: processes that share each step.
        batches: steps in an epoch; 0: as many as the rows with a group fill.

    Attributes:
        share: rows of each group in a step, on all ranks together.
        num_groups: groups that there are.
        small: how many of them have fewer rows than a share.
        left_out: rows of no group.

    Raises:
        ConfigError: more groups in a batch than there are, a batch that they cannot share evenly, fewer
            rows than one global batch, or a rank outside the world.
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
        """Batches in a whole epoch, the same on every rank."""
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
        """(batches, groups_per_batch) positions of the groups of each step, ascending."""
        groups = len(self._members)
        steps = max(_KEYS // groups, 1)  # at a time: all at once may not fit into memory
        parts = []
        for start in range(0, self.batches, steps):
            size = (min(steps, self.batches - start), groups)
            keys = torch.rand(size, dtype=torch.float64, generator=generator)
            parts.append(keys.argsort(dim=1)[:, : self.groups_per_batch])
        return torch.cat(parts).sort(dim=1).values

    def state_dict(self) -> dict[str, int]:
        """What the order depends on, and the epoch."""
        return {
            **super().state_dict(),
            "groups_per_batch": self.groups_per_batch,
            "batches": self.batches,
            "groups": self._fingerprint,
        }


def _walk(members: Tensor, visits: int, share: int, generator: torch.Generator) -> Tensor:
    """(visits, share) rows of one group: each visit's, without repeats where there are enough."""
    size = len(members)
    if size < share:
        keys = torch.rand(visits, size, dtype=torch.float64, generator=generator)
        return members[keys.argsort(dim=1)].repeat(1, -(-share // size))[:, :share]
    whole = size // share  # visits that one walk through the group serves
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
    """A sampler whose groups are the domains of a data set; arguments as for :class:`GroupedSampler`.

    Samples of unknown domain and of domains that are no group of their own (``data.uncounted``, FMoW's
    region "Other") are left out: drawn as often as a whole continent, a handful of images would fill a
    sixth of every batch. They and domains too small for their share are counted in the log.
    """
    alone = [data.regions.index(name) for name in data.uncounted if name in data.regions]
    groups = np.where(np.isin(data.domains, alone), -1, data.domains)
    sampler = GroupedSampler(groups, groups_per_batch, seed, batch_size, rank, world_size, batches)
    if rank == 0 and sampler.left_out:
        log.info("%d training samples of no domain are left out of grouped batches", sampler.left_out)
    if rank == 0 and sampler.small:
        log.info(
            "%d of %d domains have fewer training samples than their share of a batch (%d): they repeat",
            sampler.small, sampler.num_groups, sampler.share,
        )  # fmt: skip
    return sampler
