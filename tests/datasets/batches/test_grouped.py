"""Batches of groups, held against a plain count of what an epoch contains."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geomoe.datasets.augment.pipeline import augment_images
from geomoe.datasets.base import Columns, LabelledImages
from geomoe.datasets.batches.grouped import GroupedSampler
from geomoe.datasets.batches.shuffled import EpochSampler
from geomoe.datasets.module import ImageDataModule
from geomoe.errors import ConfigError

SIZES = (40, 7, 23, 100, 8, 61)


@pytest.fixture
def groups():
    """Six groups, interleaved, and nine rows of none."""
    ids = np.repeat([*range(len(SIZES)), -1], [*SIZES, 9])
    return np.random.default_rng(0).permutation(ids)


def steps_of(groups, *, per_batch, batch, epoch=0, seed=3, world=1, batches=0):
    """Every rank's rows of every step: (steps, world, batch)."""
    ranks = []
    for rank in range(world):
        sampler = GroupedSampler(groups, per_batch, seed, batch, rank, world, batches)
        sampler.set_epoch(epoch)
        ranks.append(torch.tensor(list(sampler)).view(sampler.batches, batch))
    return torch.stack(ranks, 1).numpy()


@pytest.mark.parametrize(
    ("per_batch", "batch", "world"), [(4, 8, 1), (4, 8, 3), (3, 12, 2), (6, 6, 1), (1, 5, 4)]
)
def test_each_step_has_the_groups_and_shares_it_should_and_no_row_twice(groups, per_batch, batch, world):
    share = batch * world // per_batch
    for step in steps_of(groups, per_batch=per_batch, batch=batch, world=world):
        found = Counter(groups[step.flatten()])
        assert set(found.values()) == {share}
        assert len(found) == per_batch
        assert -1 not in found
        for rank in step:  # every rank has all groups of the step, equally, one after the other
            assert list(groups[rank]) == [g for g in sorted(found) for _ in range(batch // per_batch)]
        for row, times in Counter(step.flatten().tolist()).items():
            size = SIZES[groups[row]]
            assert times <= -(-share // size)
            assert times >= share // size


def test_only_groups_smaller_than_their_share_repeat(groups):
    sampler = GroupedSampler(groups, 3, 0, 48)  # a share of 16: groups of 7 and 8 are too small
    assert sampler.small == 2
    repeated = set()
    for step in steps_of(groups, per_batch=3, batch=48):
        repeated |= {int(groups[row]) for row, times in Counter(step.flatten().tolist()).items() if times > 1}
    assert repeated == {1, 4}
    assert GroupedSampler(groups, 6, 0, 42).small == 0  # a share of 7


def test_a_group_is_walked_through_before_a_row_comes_again(groups):
    """Rows of a group, in order of steps: each walk is a permutation cut off at whole shares."""
    share = 4
    steps = steps_of(groups, per_batch=3, batch=12)
    for group, size in enumerate(SIZES):
        visits = [step[groups[step] == group] for step in steps[:, 0]]
        visits = [rows for rows in visits if len(rows)]
        whole = size // share
        for start in range(0, len(visits), whole):
            walk = np.concatenate(visits[start : start + whole])
            assert len(set(walk.tolist())) == len(walk)
    assert GroupedSampler(groups, 3, 3, 12).batches == len(steps) == sum(SIZES) // 12


def test_groups_are_drawn_uniformly_whatever_their_size(groups):
    chosen = Counter()
    batches = 6000
    for step in steps_of(groups, per_batch=2, batch=2, batches=batches)[:, 0]:
        chosen[tuple(groups[step])] += 1
    pairs = list(combinations(range(len(SIZES)), 2))
    assert set(chosen) == set(pairs)
    expected = batches / len(pairs)
    statistic = sum((chosen[pair] - expected) ** 2 / expected for pair in pairs)
    assert statistic < 36.1  # chi-square, 14 degrees of freedom, p = 0.001


def test_rows_of_a_group_are_drawn_uniformly(groups):
    drawn = Counter()
    for epoch in range(300):
        drawn.update(steps_of(groups, per_batch=6, batch=18, epoch=epoch).flatten().tolist())
    for group, size in enumerate(SIZES):
        counts = np.array([drawn[row] for row in np.flatnonzero(groups == group)])
        assert counts.min() > 0
        assert counts.std() < 3 * counts.mean() ** 0.5, size


@pytest.mark.parametrize("world", [2, 4])
def test_the_rows_of_a_step_do_not_depend_on_the_number_of_devices(groups, world):
    alone = steps_of(groups, per_batch=3, batch=24).reshape(-1, 24)
    shared = steps_of(groups, per_batch=3, batch=24 // world, world=world).reshape(len(alone), -1)
    assert np.array_equal(np.sort(alone, 1), np.sort(shared, 1))


def test_the_order_is_a_function_of_seed_and_epoch_alone(groups):
    def sampler(seed=3):
        return GroupedSampler(groups, 3, seed, 12)

    first, second = sampler(), sampler()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    second.set_epoch(4)
    list(second)
    second.set_epoch(0)
    assert list(first) == list(second)
    assert torch.equal(torch.rand(3), expected)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(first) != list(sampler(seed=4))


@pytest.mark.parametrize("done", [0, 1, 9, 19])
def test_resuming_gives_the_rest_of_the_epoch_and_then_whole_ones(groups, done):
    whole = list(GroupedSampler(groups, 3, 7, 12))
    sampler = GroupedSampler(groups, 3, 7, 12)
    sampler.resume_at(done)
    assert len(sampler) == len(whole)
    assert list(sampler) == whole[done * 12 :]
    assert list(sampler) == whole


def test_a_given_number_of_batches_may_be_more_or_fewer_than_the_rows_fill(groups):
    for batches in (3, 100):
        sampler = GroupedSampler(groups, 3, 0, 12, batches=batches)
        assert sampler.batches == batches
        assert len(list(sampler)) == len(sampler) == batches * 12
    with pytest.raises(ConfigError, match=r"resume at batch 101: .* has 100 batches"):
        sampler.resume_at(101)


def test_groups_chosen_in_several_parts_are_chosen_as_well(groups, monkeypatch):
    monkeypatch.setattr("geomoe.datasets.batches.grouped._KEYS", 20)  # three steps at a time
    for step in steps_of(groups, per_batch=4, batch=8)[:, 0]:
        assert set(Counter(groups[step]).values()) == {2}


def test_rows_left_out_are_counted(groups):
    assert GroupedSampler(groups, 2, 0, 4).left_out == 9
    assert GroupedSampler(groups, 2, 0, 4).size == sum(SIZES)


def test_state_goes_through_a_checkpoint_and_not_into_another_order(groups):
    sampler = GroupedSampler(groups, 3, 7, 12, 1, 2)
    sampler.set_epoch(9)
    other = GroupedSampler(groups, 3, 7, 24)
    other.load_state_dict(sampler.state_dict())
    assert other.epoch == 9
    plain = EpochSampler(sum(SIZES), 7, 24)
    with pytest.raises(ConfigError, match=r"groups_per_batch None \(now 3\)"):
        other.load_state_dict(plain.state_dict())
    with pytest.raises(ConfigError, match=r"groups_per_batch 3 \(now None\)"):
        plain.load_state_dict(sampler.state_dict())
    regrouped = GroupedSampler(np.where(groups == 0, 1, groups), 3, 7, 24)
    with pytest.raises(ConfigError, match=r"order of samples has groups \d+ \(now \d+\)"):
        regrouped.load_state_dict(sampler.state_dict())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: GroupedSampler(g, 7, 0, 14), "data.groups_per_batch: expected 1 to 6, .*; got 7"),
        (lambda g: GroupedSampler(g, 0, 0, 14), "data.groups_per_batch: expected 1 to 6, .*; got 0"),
        (lambda g: GroupedSampler(g, 5, 0, 32), "32 is no multiple of data.groups_per_batch 5"),
        (lambda g: GroupedSampler(g, 5, 0, 300), "300 x 1 devices, but there are 239 training samples"),
        (lambda g: GroupedSampler(g[:0], 1, 0, 4), "expected 1 to 0"),
        (lambda g: GroupedSampler(g, 2, 0, 4, 2, 2), "rank: expected 0 to 1"),
    ],
)
def test_refusals(groups, make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make(groups)
    assert "\n" not in str(caught.value)


class Listed(LabelledImages):
    classes, regions, uncounted = ("a", "b"), ("Asia", "Europe", "Africa", "Other"), ("Other",)

    def load_image(self, index):
        return torch.full((3, 4, 4), float(index))


class ListedModule(ImageDataModule):
    name = "listed"

    def open(self, split):
        domains = np.repeat([0, 1, 2, 3, -1], [20, 30, 4, 3, 2])
        rows = np.arange(len(domains))
        nowhere = np.full((len(rows), 2), np.nan)
        return Listed(Columns(nowhere, rows % 2, domains, rows, rows), split=split)


def test_a_data_module_groups_by_domain_when_asked(caplog):
    module = ListedModule(batch_size=12, groups_per_batch=2, batches_per_epoch=7)
    with caplog.at_level("INFO"):
        loader = module.train_dataloader()
    assert isinstance(loader.sampler, GroupedSampler)
    assert len(loader) == 7
    for batch in loader:
        found = Counter(batch["domain"].tolist())
        assert set(found) <= {0, 1, 2}
        assert set(found.values()) == {6}
    text = caplog.text
    assert "5 training samples of no domain are left out of grouped batches" in text
    assert "1 of 3 domains have fewer training samples than their share of a batch (6)" in text


@pytest.mark.parametrize("options", [{}, {"groups_per_batch": 0}])
def test_a_data_module_shuffles_when_not_asked(options):
    loader = ListedModule(batch_size=12, **options).train_dataloader()
    assert type(loader.sampler) is EpochSampler


@pytest.mark.parametrize(
    ("world", "options", "batch", "training"),
    [
        (1, {}, 59, 59),  # fewer than 64: all of them
        (2, {}, 29, 59),  # shared by the devices
        (1, {"groups_per_batch": 2}, 54, 54),  # without what is in no group
        (2, {"groups_per_batch": 2}, 26, 54),  # a multiple of the groups
        (2, {"groups_per_batch": 3}, 27, 54),
    ],
)
def test_a_batch_that_nobody_set_fits_a_small_split(world, options, batch, training, caplog):
    module = ListedModule(batch_size=None, **options)
    module.trainer = SimpleNamespace(global_rank=0, world_size=world)
    with caplog.at_level("INFO"):
        loader = module.train_dataloader()
        assert len(module.train_dataloader()) == len(loader) == 1  # made again, said once
    assert loader.batch_size == batch
    assert [len(rows["label"]) for rows in loader] == [batch]
    text = f"a batch is {batch} samples on each device: there are {training} to train with"
    assert caplog.text.count(text) == 1


def test_a_batch_that_nobody_set_is_64_where_there_are_as_many(monkeypatch, caplog):
    whole = ListedModule.open
    monkeypatch.setattr(ListedModule, "open", lambda self, split: _twice(whole(self, split)))
    module = ListedModule(batch_size=None)
    with caplog.at_level("INFO"):
        assert (module.train_dataloader().batch_size, len(module.train_dataloader())) == (64, 1)
    assert "a batch is" not in caplog.text


def _twice(data):
    columns = (data.lonlat, data.labels, data.domains, data.blocks, data.rows)
    return Listed(Columns(*(np.concatenate([column, column]) for column in columns)), split="train")


@pytest.mark.parametrize(("world", "advice"), [(1, "; give at most 59"), (60, "; use fewer devices")])
def test_a_batch_that_somebody_set_is_kept_or_refused(world, advice):
    module = ListedModule(batch_size=60)
    module.trainer = SimpleNamespace(global_rank=0, world_size=world)
    with pytest.raises(ConfigError, match=f"60 x {world} devices, but there are 59 training samples{advice}"):
        module.train_dataloader()
    assert ListedModule(batch_size=59).train_dataloader().batch_size == 59


def test_a_data_module_refuses_changes_of_colour_where_there_are_none(monkeypatch):
    monkeypatch.setattr(Listed, "scale", (0.0, 4000.0))
    with pytest.raises(ConfigError, match="domainbed changes colours"):
        ListedModule(batch_size=12, augment="domainbed").train_dataloader()
    ListedModule(batch_size=12, augment="flips").train_dataloader()


def test_training_batches_are_augmented_before_they_are_normalised():
    module = ListedModule(batch_size=4, augment="domainbed")
    sample = next(iter(module.val_dataloader()))
    sample["image"] = torch.rand(4, 3, 8, 8) * 255
    torch.manual_seed(0)
    found = module.to_batch(sample, train=True).image
    torch.manual_seed(0)
    raw = augment_images(sample["image"], "domainbed")
    want = (raw - module.mean[:, None, None]) / module.std[:, None, None]
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)
