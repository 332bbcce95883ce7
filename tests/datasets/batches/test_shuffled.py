"""The order of samples: a pure function of (seed, epoch), shared out without loss, resumable."""

from __future__ import annotations

import pytest
import torch

from geomoe.datasets.batches.shuffled import EpochSampler
from geomoe.errors import ConfigError


def test_the_same_seed_and_epoch_give_the_same_order():
    first, second = EpochSampler(1000, 3, 32), EpochSampler(1000, 3, 32)
    torch.manual_seed(99)
    second.set_epoch(5)
    list(second)
    second.set_epoch(0)
    assert list(first) == list(second)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(first) != list(EpochSampler(1000, 4, 32))


def test_it_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(EpochSampler(100, 0, 10))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("size", "batch", "world"), [(1000, 32, 1), (1000, 32, 3), (96, 32, 3), (97, 1, 4)])
def test_ranks_share_an_epoch_without_loss_or_repeats(size, batch, world):
    ranks = [EpochSampler(size, 7, batch, rank, world) for rank in range(world)]
    orders = [list(sampler) for sampler in ranks]
    together = [row for order in orders for row in order]
    assert len(set(together)) == len(together)
    assert all(0 <= row < size for row in together)
    assert {len(order) for order in orders} == {len(ranks[0])}
    assert size - len(together) == size % (batch * world)


def test_the_rows_of_a_step_do_not_depend_on_the_number_of_devices():
    alone = torch.tensor(list(EpochSampler(1000, 7, 64))).view(-1, 64)
    ranks = [torch.tensor(list(EpochSampler(1000, 7, 16, rank, 4))).view(-1, 16) for rank in range(4)]
    assert torch.equal(alone, torch.cat(ranks, dim=1))


def test_rows_left_out_differ_between_epochs():
    sampler = EpochSampler(100, 0, 32)
    left = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        left.append(set(range(100)) - set(sampler))
    assert len(left[0]) == len(left[1]) == 4
    assert left[0] != left[1]


@pytest.mark.parametrize("done", [0, 1, 17, 31])
def test_resuming_gives_the_rest_of_the_epoch_and_then_whole_ones(done):
    whole = list(EpochSampler(1000, 7, 32))
    sampler = EpochSampler(1000, 7, 32)
    sampler.resume_at(done)
    assert len(sampler) == len(whole)
    assert list(sampler) == whole[done * 32 :]
    assert list(sampler) == whole


def test_state_goes_through_a_checkpoint():
    sampler = EpochSampler(1000, 7, 32, 1, 2)
    sampler.set_epoch(9)
    other = EpochSampler(1000, 7, 32, 1, 2)
    other.load_state_dict(sampler.state_dict())
    assert list(other) == list(sampler)
    on_one_device = EpochSampler(1000, 7, 64)
    on_one_device.load_state_dict(sampler.state_dict())
    assert on_one_device.epoch == 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpochSampler(50, 0, 64), "64 x 1 devices, but there are 50 training samples"),
        (lambda: EpochSampler(100, 0, 64, 0, 2), "64 x 2 devices, but there are 100"),
        (lambda: EpochSampler(100, 0, 0), "data.batch_size: 0"),
        (lambda: EpochSampler(100, 0, 10, 2, 2), r"rank: expected 0 to 1 \(world_size 2\); got 2"),
        (lambda: EpochSampler(100, 0, 10).resume_at(11), "resume at batch 11: .* has 10 batches"),
        (lambda: EpochSampler(100, 0, 10).resume_at(-1), "resume at batch -1"),
        (
            lambda: EpochSampler(100, 0, 10).load_state_dict(EpochSampler(100, 1, 20).state_dict()),
            r"order of samples has seed 1 \(now 0\), global_batch 20 \(now 10\)",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
