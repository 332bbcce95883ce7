"""Places and batches: what is unknown, what a part is, and that nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning.fabric.utilities import move_data_to_device

from geomoe.errors import CoordinateError, InputError
from geomoe.types import Batch, Place, as_place

NAN = float("nan")


def make_place(count=9, features=True):
    lonlat = torch.stack([torch.linspace(-170, 170, count), torch.linspace(60, -60, count)], 1).double()
    lonlat[2:3] = NAN
    return Place.of(lonlat, torch.arange(count) % 4 - 1, torch.randn(count, 3) if features else None)


def make_batch(domain, features=True):
    count = len(domain)
    place = make_place(count, features)._replace(domain=torch.tensor(domain, dtype=torch.int64))
    return Batch(torch.randn(count, 3, 4, 4), torch.randint(5, (count,)), place, torch.randperm(count))


def same(one, other):
    """Equal tensor by tensor, unknown places and missing features included."""
    pairs = zip((*one[:2], *one.place, one.index), (*other[:2], *other.place, other.index), strict=True)
    for left, right in pairs:
        if left is None or right is None:
            assert left is right
        else:
            np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_unknown_is_nan_and_nothing_else():
    place = Place.of(torch.tensor([[1.0, 2.0], [NAN, NAN]]))
    assert place.lonlat.dtype == torch.float64
    assert place.known.tolist() == [True, False]
    assert place.domain.tolist() == [-1, -1]
    assert place.domain.dtype == torch.int64
    nowhere = Place.unknown(3, "cpu")
    assert not nowhere.known.any()
    assert nowhere.domain.tolist() == [-1] * 3
    assert nowhere.features is None


@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize(
    "rows", [torch.tensor([5, 0, 5]), torch.arange(9) > 6, slice(1, 4), torch.tensor([], dtype=torch.int64)]
)
def test_take_is_row_by_row(rows, features):
    batch = make_batch([0, 1, 2, -1, 0, 1, 2, -1, 0], features)
    expected = np.arange(9)[rows.numpy() if isinstance(rows, torch.Tensor) else rows]
    found = batch.take(rows)
    assert len(found.image) == len(expected)
    for number, row in enumerate(expected):
        same(found.take(slice(number, number + 1)), batch.take(slice(row, row + 1)))
    np.testing.assert_array_equal(found.lonlat.numpy(), batch.place.lonlat.numpy()[expected])
    assert found.domain.tolist() == batch.domain[torch.from_numpy(expected)].tolist()
    assert (found.place.features is not None) is features


@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize(
    "domain",
    [[3, 0, -1, 3, 7, 0, -1, 3], [2] * 5, [-1] * 4, [], [4, 3, 2, 1, 0, -1]],
    ids=["mixed", "one", "unknown", "empty", "each once"],
)
def test_parts_are_the_rows_of_each_domain(domain, unknown):
    batch = make_batch(domain)
    expected = {}
    for row, one in enumerate(domain):  # by hand
        if one >= 0 or unknown:
            expected.setdefault(one, []).append(row)
    found = list(batch.parts(unknown=unknown))
    assert [one for one, _ in found] == sorted(expected)
    for one, part in found:
        same(part, batch.take(torch.tensor(expected[one])))


def test_sums_over_parts_are_those_over_masks():
    batch = make_batch(torch.randint(-1, 5, (64,)).tolist())
    image = batch.image.double()
    batch = batch._replace(image=image)
    for one, part in batch.parts(unknown=True):
        mask = batch.domain == one
        torch.testing.assert_close(part.image.sum(), image[mask].sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("features", [True, False])
def test_lightning_moves_places_inside_batches(features):
    batch = make_batch([0, 1, -1], features)
    moved = move_data_to_device(batch, torch.device("meta"))
    assert isinstance(moved, Batch)
    assert isinstance(moved.place, Place)
    assert moved.image.device.type == moved.lonlat.device.type == moved.domain.device.type == "meta"
    assert (moved.place.features is None) is not features
    there = batch.place.to("meta")
    assert there.lonlat.device.type == there.domain.device.type == "meta"


def test_a_place_of_whatever_came():
    place = make_place()
    assert as_place(place) is place
    assert as_place(None) is None
    found = as_place(place.lonlat)
    assert torch.equal(found.known, place.known)
    assert (found.domain == -1).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: as_place(torch.zeros(4)), CoordinateError, r"lonlat: expected floating \(B, 2\) .* \(4,\)"),
        (lambda: Place.of(torch.zeros(4, 3)), CoordinateError, r"got \(4, 3\) torch.float32"),
        (lambda: Place.of(torch.zeros(4, 2).long()), CoordinateError, r"got \(4, 2\) torch.int64"),
        (lambda: Place.of(torch.zeros(4, 2), torch.zeros(3).long()), InputError, r"domain: expected \(4,\)"),
        (lambda: Place.of(torch.zeros(4, 2), torch.zeros(4)), InputError, "whole numbers; got .*float32"),
        (
            lambda: Place.of(torch.zeros(4, 2), features=torch.zeros(3, 5)),
            InputError,
            r"features: expected \(4, F\), a row for each place; got \(3, 5\)",
        ),
    ],
)  # fmt: skip
def test_wrong_shapes_are_one_line(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
