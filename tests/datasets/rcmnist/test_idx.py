"""MNIST's files: the same numbers as torchvision reads, and one line for whatever is wrong with them."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from torchvision.datasets import MNIST

from geomoe.datasets.rcmnist import idx
from geomoe.datasets.samples import mnist
from geomoe.errors import DataError, DatasetNotFoundError

IMAGES, LABELS = idx.FILES["t10k"]


@pytest.fixture
def root(tmp_path):
    mnist.write(tmp_path)
    return tmp_path


def packed(*sizes, kind=8, payload=None):
    values = bytes(int(np.prod(sizes))) if payload is None else payload
    return bytes((0, 0, kind, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes) + values


def test_the_same_as_torchvision(root):
    ours = idx.read_digits(root)
    for path in (root / "MNIST" / "raw").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    theirs = [MNIST(root, train=train, download=False) for train in (True, False)]
    assert ours.train == len(theirs[0].data) == 800
    np.testing.assert_array_equal(ours.images, np.concatenate([part.data for part in theirs]))
    np.testing.assert_array_equal(ours.digit, np.concatenate([part.targets for part in theirs]))
    plain = idx.read_digits(root)
    np.testing.assert_array_equal(plain.images, ours.images)
    assert plain.sha256 == ours.sha256


def test_the_raw_folder_itself_will_do(root):
    assert idx.read_digits(root / "MNIST" / "raw").sha256 == idx.read_digits(root).sha256


def test_the_hash_sees_labels_and_pixels(root):
    before = idx.read_digits(root).sha256
    path = root / "MNIST" / "raw" / idx.FILES["train"][1]
    content = bytearray(path.read_bytes())
    content[8] = (content[8] + 1) % 10
    path.write_bytes(content)
    assert idx.read_digits(root).sha256 != before


def test_a_file_that_is_not_there(root):
    (root / "MNIST" / "raw" / f"{LABELS}.gz").unlink()
    with pytest.raises(
        DatasetNotFoundError, match=f"there is no {LABELS} or {LABELS}.gz.*geomoe data download"
    ):
        idx.read_digits(root)
    with pytest.raises(DatasetNotFoundError, match="MNIST/raw: there is no train-images"):
        idx.read_digits(root / "elsewhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES, packed(200, 28, 28)[:-1], r"should have 156,816 bytes \(\(200, 28, 28\)\), has 156,815"),
        (IMAGES, packed(200, 28, 28) + b"x", "has 156,817"),
        (IMAGES, b"", "begins with 00000803; this one with nothing"),
        (IMAGES, packed(200, 28, 28, kind=9), "begins with 00000803; this one with 00000903"),
        (IMAGES, packed(200), "begins with 00000803; this one with 00000801"),
        (IMAGES, packed(200, 28, 28)[:10], "begins with 00000803"),
        (IMAGES, packed(200, 32, 32), r"28 x 28 pixels are expected; got \(32, 32\)"),
        (IMAGES, packed(199, 28, 28), "has 199 images, and its file of labels 200"),
        (
            f"{LABELS}.gz",
            gzip.compress(packed(200, payload=bytes([10]) * 200), mtime=0),
            "labels are digits 0 to 9.*10",
        ),
        (f"{LABELS}.gz", gzip.compress(packed(200), mtime=0)[:-9], "cannot be read"),
        (f"{LABELS}.gz", packed(200), "cannot be read"),
    ],
)
def test_damage(root, name, content, message):
    (root / "MNIST" / "raw" / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        idx.read_digits(root)
    assert "\n" not in str(caught.value)
    assert "t10k-" in str(caught.value)
