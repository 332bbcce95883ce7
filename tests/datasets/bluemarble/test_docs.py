"""docs/bluemarble.md prints what the commands beside its tables print."""

from __future__ import annotations

from pathlib import Path

import pytest

from geomoe.datasets.bluemarble import index
from tools import audit_bluemarble as audit
from tools import describe_bluemarble

PAGE = (Path(__file__).parents[3] / "docs" / "bluemarble.md").read_text(encoding="utf-8")


def test_counts():
    assert describe_bluemarble.class_table(0) in PAGE
    assert describe_bluemarble.region_table() in PAGE
    assert PAGE.partition("\n\n")[2].startswith(f"{len(index.load_index().label):,} small pictures")


@pytest.mark.slow
def test_distances():
    pairs = audit.audit()
    table = PAGE.partition("nearest km: min  median\n")[2].splitlines()[: len(pairs)]
    told = [line.split() for line in table]
    for pair, (seed, splits, shared, gap, nearest, median) in zip(pairs, told, strict=True):
        assert (int(seed), splits) == (pair.split_seed, f"{pair.first}-{pair.second}")
        assert (int(shared), int(gap)) == (pair.shared_pixels, pair.gap_pixels)
        assert (float(nearest), float(median)) == (round(pair.min_km), round(pair.median_km))
