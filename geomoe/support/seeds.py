"""Make one seed out of several numbers, such as those of a run, an epoch, a step and a process."""

from __future__ import annotations

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """A 63-bit seed, determined by the numbers and their order; similar numbers give unrelated seeds.

    It is made by :class:`numpy.random.SeedSequence`, whose output is the same in all versions of numpy.

    Args:
        numbers: whole numbers; at least one. A negative one counts as its 64 bits.
    """
    # Two words for each number: otherwise SeedSequence would give (1, 0) and (1,) the same seed.
    words = [part for n in numbers for part in (n & 0xFFFFFFFF, (n >> 32) & 0xFFFFFFFF)]
    state = np.random.SeedSequence([len(numbers), *words]).generate_state(1, np.uint64)
    return int(state[0]) >> 1
