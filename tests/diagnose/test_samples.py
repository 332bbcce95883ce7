"""Drawing samples, and refusing splits that cannot be diagnosed."""

from __future__ import annotations

import numpy as np
import pytest

from geomoe.datasets.base import Columns, LabelledImages
from geomoe.diagnose.samples import draw_samples
from geomoe.errors import InputError


def dataset(domain, regions=("north", "south", "west")):
    count = len(domain)
    rng = np.random.default_rng(0)
    columns = Columns(
        rng.uniform(-80, 80, (count, 2)), rng.integers(0, 2, count), np.array(domain, dtype=np.int64),
        rng.integers(0, 9, count), np.arange(count) + 100,
    )  # fmt: skip
    made = LabelledImages(columns, split="val")
    made.classes, made.regions, made.domain_unit = ("a", "b"), regions, "camera"
    return made


def test_all_samples_with_the_domains_that_have_some():
    data = dataset([2, 0, -1, 2, 0])
    found = draw_samples(data, np.arange(5), "val", 0, 0)
    assert found.rows.tolist() == [0, 1, 2, 3, 4]
    assert found.domains == ("north", "west")
    assert found.domain.tolist() == [1, 0, -1, 1, 0]
    assert found.classes == ("a", "b")
    assert found.lonlat.tolist() == data.lonlat.tolist()
    assert found.label.tolist() == data.labels.tolist()
    assert found.block.tolist() == data.blocks.tolist()
    assert draw_samples(data, np.arange(5), "val", 5, 0).rows.tolist() == found.rows.tolist()


def test_some_samples_without_repeats_by_the_seed():
    data, rows = dataset([0, 1] * 100), np.arange(20, 180)
    first, again, other = (draw_samples(data, rows, "val", 30, seed) for seed in (1, 1, 2))
    assert first.rows.tolist() == again.rows.tolist() == sorted(set(first.rows.tolist()))
    assert len(first.rows) == 30
    assert 20 <= min(first.rows) < max(first.rows) < 180
    assert first.rows.tolist() != other.rows.tolist()
    assert first.label.tolist() == data.labels[first.rows].tolist()


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ([], "split: val has no samples; choose another --split"),
        (
            [1, 1, -1],
            r"split: the samples of val are of one camera only \(south\); the diagnostics compare several",
        ),
        ([-1, -1], r"split: the samples of val are of one camera only \(none that is known\)"),
    ],
)
def test_refusals(domain, said):
    with pytest.raises(InputError, match="^" + said):
        draw_samples(dataset(domain), np.arange(len(domain)), "val", 0, 0)
