"""The auditor: clean on the shipped index, and it does find what it looks for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geomoe.coords import great_circle_km
from geomoe.datasets.bluemarble import index
from tools import audit_bluemarble as audit


def made_up(lonlat, split):
    """An index with the same split under every seed."""
    count = len(lonlat)
    split = np.repeat(np.array(split)[:, None], len(index.SPLIT_SEEDS), axis=1)
    zeros = np.zeros(count, dtype=np.int64)
    return index.Index(np.array(lonlat, dtype=float), zeros, np.arange(count) % 5, zeros, split, "")


@pytest.mark.parametrize("seed", index.SPLIT_SEEDS)
def test_no_pixel_of_the_image_is_seen_by_two_splits(seed):
    # By brute force and without the auditor: the owner of each pixel is written down, and no
    # footprint of another split may find a foreign owner there.
    whole = index.load_index()
    owner = np.full((2700, 5400), -1)
    for (lon, lat), split in zip(whole.lonlat, whole.split[:, seed], strict=True):
        row, column = round((90 - lat) * 15), round((lon + 180) * 15)
        place = owner[row - 16 : row + 16, column - 16 : column + 16]
        assert place.shape == (32, 32)
        assert ((place == -1) | (place == split)).all()
        place[:] = split


def test_the_audit_of_the_shipped_index_is_clean():
    pairs = audit.audit(split_seeds=[0])
    assert [(pair.first, pair.second) for pair in pairs] == [
        ("train", "val"),
        ("train", "test"),
        ("val", "test"),
    ]
    assert all(pair.shared_pixels == 0 and pair.gap_pixels >= 4 for pair in pairs)
    assert audit.leaks() == []


def test_shared_pixels_are_counted():
    # Two footprints of 32 pixels, 30 apart in longitude: 2 columns of 32 pixels in common.
    pairs = audit.audit(made_up([(0, 0), (2, 0), (0, 40)], [0, 1, 2]), split_seeds=[0])
    assert [pair.shared_pixels for pair in pairs] == [64, 0, 0]
    assert pairs[0].gap_pixels == -1


@pytest.mark.parametrize(
    ("right", "down", "gap"),
    [(32, 0, 0), (33, 0, 1), (-36, 0, 4), (0, 37, 5), (0, -37, 5), (34, -39, 7), (60, 0, 8)],
)
def test_gaps_between_footprints(right, down, gap):
    first, second = (
        audit.paint(np.array([[1000, 2000]])),
        audit.paint(np.array([[1000 + down, 2000 + right]])),
    )
    assert audit.gap_pixels(first, second) == gap
    assert audit.gap_pixels(second, first) == gap


def test_gaps_across_the_antimeridian():
    first, second = audit.paint(np.array([[1000, 0]])), audit.paint(np.array([[1000, 5400 - 32 - 3]]))
    assert audit.gap_pixels(first, second) == 3


def test_distances_are_great_circles():
    rng = np.random.default_rng(0)
    points, others = (rng.uniform((-180, -90), (180, 90), (n, 2)) for n in (40, 60))
    brute = [great_circle_km(np.repeat(point[None], 60, axis=0), others).min() for point in points]
    np.testing.assert_allclose(audit.nearest_km(points, others), brute, rtol=1e-6)


def test_a_leak_is_reported(monkeypatch):
    bad = made_up([(0, 0), (30, 0), (60, 0), (90, 0), (120, 0)], [0, 0, 1, 1, 2])
    monkeypatch.setattr(audit, "select", lambda index, split, **protocol: np.arange(5))
    assert len(audit.leaks(bad)) == len(index.SPLIT_SEEDS) * 5 * 2


def test_a_footprint_off_the_image_is_refused():
    with pytest.raises(ValueError, match="row 2690, column 0 leaves the image"):
        audit.paint(np.array([[2690, 0]]))


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command(arguments, monkeypatch, capsys):
    monkeypatch.setattr(audit, "SPLIT_SEEDS", (0,))
    monkeypatch.setattr(audit, "REACH", 0)
    clean = made_up([(0, 0), (3, 0), (0, 40)], [0, 1, 2])
    monkeypatch.setattr(audit, "load_index", lambda: clean)
    monkeypatch.setattr(audit, "leaks", lambda index=None: [])
    assert audit.main(arguments) == 0
    text = capsys.readouterr().out
    if arguments:
        assert json.loads(text)["pairs"][0]["shared_pixels"] == 0
    else:
        assert "no split shares a pixel with another" in text
        header, first = text.splitlines()[:2]
        assert len(first.split()) == 6  # seed, splits, pixels, gap, min, median
        assert header.split()[0] == "seed"
    dirty = made_up([(0, 0), (2, 0), (0, 40)], [0, 1, 2])
    monkeypatch.setattr(audit, "load_index", lambda: dirty)
    assert audit.main(arguments) == 1
