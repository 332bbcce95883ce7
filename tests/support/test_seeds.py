"""Seeds of several numbers: each its own, the same on every machine."""

from __future__ import annotations

import torch

from geomoe.support.seeds import mixed_seed


def test_every_step_has_a_seed_of_its_own():
    numbers = [(s, e, b, r) for s in range(4) for e in range(8) for b in range(32) for r in range(4)]
    seeds = {mixed_seed(*four) for four in numbers}
    assert len(seeds) == len(numbers)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mixed_seed(1, 2, 3, 4) == mixed_seed(1, 2, 3, 4)
    generators = [torch.Generator().manual_seed(mixed_seed(0, 0, b, 0)) for b in range(200)]
    first = torch.stack([torch.rand(1, generator=g) for g in generators])
    assert 0.4 < first.mean() < 0.6


def test_order_and_length_count_and_large_and_negative_numbers_do_not_meet():
    numbers = [(0,), (0, 0), (1,), (1, 0), (0, 1), (2**32,), (1, 2**32), (2**64 - 2,), (-1,), (2**63,)]
    assert len({mixed_seed(*some) for some in numbers}) == len(numbers)


def test_runs_of_a_later_version_have_the_same_seeds():
    assert mixed_seed(0, 0) == 1945321144695561289
    assert mixed_seed(3, 1, 4, 1) == 9198957569796166962
