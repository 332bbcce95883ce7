"""One seed out of several numbers: of a run, an epoch, a step, a process."""

from __future__ import annotations

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """A 63-bit seed that the numbers and their order fix; neighbouring ones share nothing.

    Made by :class:`numpy.random.SeedSequence`, whose output numpy keeps from version to version.

    Args:
        numbers: whole numbers; at least one. A negative one counts as its 64 bits.
    """
    # One word pair each: SeedSequence itself would give (1, 0) and (1,) the same seed.
    words = [part for n in numbers for part in (n & 0xFFFFFFFF, (n >> 32) & 0xFFFFFFFF)]
    state = np.random.SeedSequence([len(numbers), *words]).generate_state(1, np.uint64)
    return int(state[0]) >> 1
