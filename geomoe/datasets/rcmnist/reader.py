"""Rotated-Colored MNIST: environments that differ in the rotation of digits and in what their colour says.

Source: MESSI, arXiv 2606.25665, appendix C.2 and C.3; :mod:`geomoe.datasets.rcmnist.environments` has the
equations, docs/datasets/rcmnist.md the points that the paper leaves open, and our choices.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np
import torch

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.module import ImageDataModule
from geomoe.datasets.rcmnist.environments import (
    MOST,
    POOL_SEED,
    VAL_PART,
    Rendering,
    choose_sources,
    grid,
    render,
    slices,
    train_part,
)
from geomoe.datasets.rcmnist.idx import find_raw, read_digits
from geomoe.errors import ConfigError, DatasetNotFoundError
from geomoe.fetching.download import found_or_fetched

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

#: Which digits the environments use: all of MNIST in one pool, or the target only MNIST's test file.
PROTOCOLS = ("pooled", "separate_target")
SPLITS = ("train", "val", "test", "held_out")


class RCMNIST(LabelledImages):
    """Rotated-Colored MNIST under the fixed-budget domain-growth protocol.

    A sample is as in :class:`LabelledImages`, with ``image`` (2, 28, 28) raw 0..255 (one channel is
    black), unknown place, and two further columns: ``digit`` (0 to 9) and ``color`` (the channel in use).

    Splits: ``train`` and ``val`` of the source environments; ``test`` and ``held_out`` are the target.

    Attributes:
        sources: names of the source environments.
        target: name of the held-out environment.
    """

    classes = ("digits 5 to 9", "digits 0 to 4")
    rgb = (0, 1, 1)  # red and cyan
    cacheable = False
    domain_unit, block_unit = "environment", "image"

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        held_out: str = "0deg-p0.5",
        *,
        num_environments: int = MOST,
        num_domains: int | None = None,
        budget: int | None = None,
        protocol: str = "pooled",
        split_seed: int = 0,
        image_size: int | None = None,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
        download: bool = False,
        checksum: bool = False,
    ) -> None:
        """Render the environments of one split.

        Args:
            root: folder that has MNIST/raw.
            split: train, val, test or held_out.
            held_out: name of the target environment; the paper's is rotated by 0 degrees, and its colours are
                independent of the label (p = 0.5).
            num_environments: E, number of disjoint environments into which the digits are divided.
            num_domains: K_s, number of environments that train; None: all except the target.
            budget: B, number of training samples of all sources together; None: no limit.
            protocol: pooled (the paper's: both files of MNIST are one pool) or separate_target (environments
                from the training file, the target from the whole test file).
            split_seed: which random subset of source environments.
            image_size: pixels on a side; None: 28.
            transforms: applied to each sample.
            download: fetch missing files of MNIST (11.6 MB), checked by their published hashes.
            checksum: compare the gzipped files of MNIST with their published hashes.

        Raises:
            ConfigError: unknown split, protocol or environment, or an impossible budget.
            DatasetNotFoundError: MNIST is missing.
            DownloadError: a requested download failed.
            DataError: MNIST is damaged.
        """
        _check_name("split", split, SPLITS)
        _check_name("data.protocol", protocol, PROTOCOLS)
        environments = grid(num_environments)
        self.regions = tuple(environment.name for environment in environments)
        _check_name("data.held_out", held_out, self.regions)
        number = self.regions.index(held_out)
        chosen = choose_sources(num_environments, number, num_domains, split_seed)
        self.root, self.target, self.sources = root, held_out, tuple(self.regions[e] for e in chosen)
        self.download, self.checksum = download, checksum
        digits = found_or_fetched(
            lambda: read_digits(root),
            "rcmnist",
            root,
            download=download,
            checksum=checksum,
            folder=lambda _: find_raw(root),
        )
        separate = protocol == "separate_target"
        rows = slices(digits.train if separate else len(digits.digit), num_environments)
        if split in {"train", "val"}:
            smallest = min(len(rows[e]) for e in chosen)
            part = train_part(smallest, budget, len(chosen))
            part = part if split == "train" else slice(0, smallest // VAL_PART)
        else:
            chosen, part = (number,), slice(None)
            if separate:
                rows[number] = np.arange(digits.train, len(digits.digit))
        parts = [render(digits, rows[e], e, environments[e], part) for e in chosen]
        self._digits = Rendering(*map(np.concatenate, zip(*parts, strict=True)))
        row, facts = self._digits.row, f"{digits.sha256} {POOL_SEED} {num_environments} {protocol} {held_out}"
        nowhere, self.total = np.full((len(row), 2), np.nan), len(digits.digit)
        super().__init__(
            Columns(nowhere, self._digits.label, self._digits.domain, block=row, row=row),
            split=split,
            image_size=image_size,
            transforms=transforms,
            extra={"digit": digits.digit[row], "color": self._digits.colour},
            data_hash=hashlib.sha256(facts.encode()).hexdigest(),
        )

    def load_image(self, index: int) -> Tensor:
        """(2, 28, 28) float32 raw 0..255; the channel that is not the colour is 0."""
        return self._two_channels(np.array([index], dtype=np.int64))[0]

    def read_images(self, chosen: NDArray[np.int64]) -> Tensor:
        """(B, 2, H, W) float32 raw 0..255."""
        return self.sized(self._two_channels(chosen))

    def _two_channels(self, chosen: NDArray[np.int64]) -> Tensor:
        grey = torch.from_numpy(self._digits.grey[chosen]).float()
        kept = torch.nn.functional.one_hot(torch.from_numpy(self._digits.colour[chosen]), 2)
        return grey[:, None] * kept[:, :, None, None]


class RCMNISTDataModule(ImageDataModule):
    """Loaders of Rotated-Colored MNIST; images are scaled to 0..1 and not standardised, as in the paper."""

    name = "rcmnist"
    mean = torch.tensor([0.0, 0.0])
    std = torch.tensor([255.0, 255.0])

    def open(self, split: str) -> RCMNIST:
        """Open train, val, test or held_out."""
        if self.root is None:
            msg = (
                "rcmnist: data.root is not set: give the folder that has MNIST/raw "
                "(`geomoe data download rcmnist` fetches it)"
            )
            raise DatasetNotFoundError(msg)
        if self.held_out is None:
            msg = "data.held_out: rcmnist needs its target environment; the paper's is 0deg-p0.5"
            raise ConfigError(msg)
        options = {key: value for key, value in self.options.items() if value is not None}
        return RCMNIST(
            self.root,
            split,
            self.held_out,
            split_seed=self.split_seed,
            image_size=self.image_size,
            **{key: options[key] for key in _OPTIONS if key in options},
        )


_OPTIONS = ("num_environments", "num_domains", "budget", "protocol")


def _check_name(key: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        shown = ", ".join(known) if len(known) < 25 else f"{known[0]}, {known[1]} ... {known[-1]}"
        raise ConfigError(f"{key}: rcmnist has {shown}; got {name!r}")
