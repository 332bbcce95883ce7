"""Leave one domain out, with a fifth of every domain set aside: DomainBed's training-domain validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geomoe.errors import ConfigError

SPLITS = ("train", "val", "test", "held_out", "target_in", "target_out")
SHARE = 5  # one in five is set aside


def set_aside(
    names: Sequence[str], domain: NDArray[np.int64], label: NDArray[np.int64], seed: int
) -> list[int]:
    """Choose the fifth of each domain that is not trained on, stratified by class (MESSI, appendix F.2).

    Within each class the images of a domain are ordered by their names and the seed only, and every fifth is
    taken: a fifth of each class and each domain, rounded up or down. So the split is the same on every
    machine and for every held-out domain.

    Args:
        names: N image names.
        domain: (N,) domain of each image.
        label: (N,) label of each image.
        seed: seed of the split.

    Returns:
        Rows, ordered by domain and then by class.
    """
    keys = np.array([_number(f"{seed}/{name}") for name in names], dtype=np.uint64)
    chosen: list[int] = []
    for number in np.unique(domain):
        rows = np.flatnonzero(domain == number)
        rows = rows[np.lexsort((keys[rows], label[rows]))]
        chosen += rows[_number(f"{seed}/{number}") % SHARE :: SHARE].tolist()
    return chosen


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def choose(
    split: str, aside: Sequence[int], domain: NDArray[np.int64], target: int | None
) -> NDArray[np.int64]:
    """Return the rows of one split, ascending.

    With a target: train and val are four fifths and one fifth of the sources; held_out is the whole target
    and test adds the sources' fifth; target_in and target_out are the target's four fifths (what DomainBed
    reports) and its fifth. Without: test is every second image of the fifth of all domains, val the others.

    Args:
        split: one of SPLITS.
        aside: rows chosen by :func:`set_aside`.
        domain: (N,) domain of each image.
        target: the held-out domain; None: all domains train.

    Raises:
        ConfigError: the split is unknown, or needs a target and there is none.
    """
    if split not in SPLITS:
        raise ConfigError(f"split: expected one of {', '.join(SPLITS)}; got {split!r}")
    out = np.zeros(len(domain), dtype=bool)
    out[list(aside)] = True
    if target is None:
        if split not in ("train", "val", "test"):
            raise ConfigError(f"split: {split} needs a domain that is held out (data.held_out)")
        test = np.zeros(len(domain), dtype=bool)
        test[list(aside[::2])] = True
        return np.flatnonzero({"train": ~out, "val": out & ~test, "test": test}[split])
    left = domain == target
    parts = {
        "train": ~left & ~out,
        "val": ~left & out,
        "test": left | out,
        "held_out": left,
        "target_in": left & ~out,
        "target_out": left & out,
    }
    return np.flatnonzero(parts[split])
