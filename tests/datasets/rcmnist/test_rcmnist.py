"""Rotated-Colored MNIST against Algorithm 3 of its paper, worked out anew in float64."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch

from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.datasets import DATASETS
from geomoe.datasets.rcmnist import environments
from geomoe.datasets.rcmnist.idx import read_digits
from geomoe.datasets.rcmnist.reader import RCMNIST
from geomoe.datasets.samples import mnist
from geomoe.errors import ConfigError, DatasetNotFoundError

E = 20
NAMES = [f"{45 * (e // 10)}deg-p0.{e % 10}" for e in range(E)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mnist")
    mnist.write(folder)
    return folder


@pytest.fixture(scope="module")
def digits(root):
    return read_digits(root)


def everything(root, split="test", **options):
    """One environment after the other, each as the target: all samples of all of them."""
    return [RCMNIST(root, split, name, num_environments=E, **options) for name in NAMES]


def turned(image, degrees):
    """Bilinear rotation, counter-clockwise about the centre, black outside; pixel by pixel."""
    angle, result = math.radians(degrees), np.zeros((28, 28))
    for row in range(28):
        for column in range(28):
            x, y = column - 13.5, row - 13.5  # where this pixel came from: the inverse turn
            from_x = math.cos(angle) * x - math.sin(angle) * y + 13.5
            from_y = math.sin(angle) * x + math.cos(angle) * y + 13.5
            left, top = math.floor(from_x), math.floor(from_y)
            for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= r < 28 and 0 <= c < 28:
                    weight = (1 - abs(from_y - r)) * (1 - abs(from_x - c))
                    result[row, column] += weight * image[r, c]
    return result


def test_the_grid_is_equation_60():
    cells = environments.grid(80)
    for e, cell in enumerate(cells):
        assert cell.degrees == 45 * math.floor(e / 10)
        assert cell.flip == pytest.approx(0.1 * (e % 10), abs=1e-15)
    assert len({cell.name for cell in cells}) == 80
    assert [cell.name for cell in cells[:E]] == NAMES
    assert cells[5] == ("0deg-p0.5", 0, 0.5)  # the target of equation 62


@pytest.mark.slow
def test_environments_share_no_digit_and_leave_none_out(root, digits):
    rows = np.concatenate([part.rows for part in everything(root)])
    assert sorted(rows) == list(range(len(digits.digit)))
    assert [len(part) for part in everything(root)] == [50] * E


def test_labels_are_equation_59(root, digits):
    flips, small = [], []
    for part in everything(root):
        small += (digits.digit[part.rows] < 5).tolist()
        flips += (part.labels != (digits.digit[part.rows] < 5)).tolist()
        np.testing.assert_array_equal(part.extra["digit"], digits.digit[part.rows])
    flips, small = np.array(flips), np.array(small)
    spread = math.sqrt(0.25 * 0.75 / 500)
    assert abs(flips[small].mean() - 0.25) < 4 * spread  # the noise does not look at the class
    assert abs(flips[~small].mean() - 0.25) < 4 * spread


def test_colours_are_equation_61(root):
    for e, part in enumerate(everything(root)):
        p = 0.1 * (e % 10)
        flipped = (part.extra["color"] != part.labels).mean()
        assert abs(flipped - p) <= 4 * math.sqrt(p * (1 - p) / len(part))
    first = RCMNIST(root, "test", "0deg-p0.0", num_environments=E)
    np.testing.assert_array_equal(first.extra["color"], first.labels)


@pytest.mark.parametrize("degrees", [0, 45, 90, 135, 315])
def test_images_are_turned_bilinearly_into_one_channel(root, digits, degrees):
    part = RCMNIST(root, "test", f"{degrees}deg-p0.3", num_environments=80)
    assert len(part) in {12, 13}
    for i in range(0, len(part), 4):
        sample = part[i]
        colour = int(sample["color"])
        assert sample["image"].shape == (2, 28, 28)
        assert not sample["image"][1 - colour].any()
        expected = turned(digits.images[part.rows[i]].astype(np.float64), degrees)
        assert np.abs(sample["image"][colour].numpy() - expected).max() < 0.51  # kept as whole grey levels
    if degrees == 90:
        grey = part.read([0])["image"].sum(1)[0].numpy()
        np.testing.assert_array_equal(grey, np.rot90(digits.images[part.rows[0]]))


def test_batches_reach_the_network_from_0_to_1(root):
    module = DATASETS["rcmnist"](
        root, held_out="0deg-p0.5", num_environments=E, batch_size=16, augment="none"
    )
    batch = module.to_batch(next(iter(module.train_dataloader())))
    assert batch.image.shape == (16, 2, 28, 28)
    assert batch.image.min() == 0
    assert 0.7 < batch.image.max() <= 1
    assert not batch.place.known.any()


@pytest.mark.parametrize("count", [3, 5, 7, 9, 11, 13, 15, 17])
def test_the_budget_is_fixed_and_the_target_unseen(root, count):
    options = {"num_environments": E, "num_domains": count, "budget": 120}
    train, val, test = (RCMNIST(root, split, **options) for split in ("train", "val", "test"))
    drawn, each = np.unique(train.domains, return_counts=True)
    assert each.tolist() == [120 // count] * count
    assert tuple(NAMES[e] for e in drawn) == train.sources == val.sources
    assert "0deg-p0.5" not in train.sources
    assert np.unique(val.domains, return_counts=True)[1].tolist() == [10] * count  # 20 % of 50
    assert (test.domains == 5).all()
    assert len(test) == 50
    rows = np.concatenate([part.rows for part in (train, val, test)])
    assert len(set(rows)) == len(rows)


def test_val_is_the_same_whatever_the_budget_and_train_grows(root):
    few, many = ({"num_environments": E, "num_domains": 3, "budget": b} for b in (30, 120))
    for split in ("train", "val"):
        small, large = RCMNIST(root, split, **few), RCMNIST(root, split, **many)
        shared = np.isin(large.rows, small.rows)
        assert shared.sum() == len(small)
        for name in ("rows", "labels", "domains"):  # the noise is the sample's own
            np.testing.assert_array_equal(getattr(large, name)[shared], getattr(small, name))
        np.testing.assert_array_equal(large.extra["color"][shared], small.extra["color"])


def test_subsets_differ_with_the_split_seed_and_repeat(root):
    def drawn(seed):
        return RCMNIST(root, num_environments=E, num_domains=5, split_seed=seed).sources

    assert drawn(0) == drawn(0)
    assert len({drawn(seed) for seed in range(8)}) > 4


def test_subsets_are_drawn_evenly():
    times = np.zeros(E)
    for seed in range(600):
        chosen = environments.choose_sources(E, 5, 3, seed)
        assert len(set(chosen)) == 3
        times[list(chosen)] += 1
    expected = 600 * 3 / 19
    assert times[5] == 0
    others = np.delete(times, 5)
    assert ((others - expected) ** 2 / expected).sum() < 42.3  # chi-squared, 18 degrees of freedom, p = .001


def test_a_separate_target_is_the_test_file(root, digits):
    options = {"num_environments": E, "protocol": "separate_target"}
    test, train = RCMNIST(root, "test", **options), RCMNIST(root, "train", **options)
    assert sorted(test.rows) == list(range(800, 1000))
    assert train.rows.max() < 800
    assert set(np.unique(train.domains)) == set(range(E)) - {5}
    flipped = (test.extra["color"] != test.labels).mean()
    assert abs(flipped - 0.5) < 4 * math.sqrt(0.25 / 200)
    assert test.data_hash != RCMNIST(root, "test", num_environments=E).data_hash


def test_every_split_names_every_environment_and_has_one_hash(root):
    parts = [RCMNIST(root, split, num_environments=E) for split in ("train", "val", "test", "held_out")]
    assert {part.regions for part in parts} == {tuple(NAMES)}
    assert len({part.data_hash for part in parts}) == 1
    np.testing.assert_array_equal(parts[2].rows, parts[3].rows)
    assert np.isnan(parts[0].lonlat).all()


def test_it_survives_a_trip_to_another_process(root):
    part = RCMNIST(root, "val", num_environments=E)
    again = pickle.loads(pickle.dumps(part))
    torch.testing.assert_close(again.read([3, 1])["image"], part.read([3, 1])["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "valid"}, "split: rcmnist has train, val, test, held_out; got 'valid'"),
        ({"protocol": "mixed"}, "data.protocol: rcmnist has pooled, separate_target; got 'mixed'"),
        ({"held_out": "0deg"}, "data.held_out: rcmnist has 0deg-p0.0, .*; got '0deg'"),
        ({"num_environments": 81}, "data.num_environments: expected 1 to 80: .*; got 81"),
        ({"num_environments": 5}, "data.held_out: rcmnist has .*; got '0deg-p0.5'"),
        ({"num_domains": 20}, "data.num_domains: 20 environments without the target leave 19; got 20"),
        (
            {"num_domains": 3, "budget": 123},
            "data.budget: 3 source domains of 40 training samples each can fill 3 to 120; got 123",
        ),
        ({"num_domains": 3, "budget": 2}, "can fill 3 to 120; got 2"),
    ],
)
def test_refusals(root, options, message):
    with pytest.raises(ConfigError, match=message):
        RCMNIST(root, **{"num_environments": E, **options})


def test_a_module_without_folder_or_target(root):
    with pytest.raises(DatasetNotFoundError, match=r"data.root is not set.*geomoe data download rcmnist"):
        DATASETS["rcmnist"](held_out="0deg-p0.5").dataset("train")
    with pytest.raises(ConfigError, match=r"data.held_out: rcmnist needs its target"):
        DATASETS["rcmnist"](root).dataset("train")


@pytest.mark.parametrize("algorithm", ["moge", "erm_le", "pg_dro"])
def test_methods_that_ask_for_places_are_refused(algorithm):
    message = f"algorithm: {algorithm} asks where an image was taken, and rcmnist has no places; use erm"
    with pytest.raises(ConfigError, match=message):
        load("rcmnist", flags=[Setting("algorithm", algorithm, "")])
    named = load(
        "rcmnist", flags=[Setting("algorithm", algorithm, ""), Setting("encoder.name", "domain", "")]
    )
    assert named.encoder.name == "domain"
