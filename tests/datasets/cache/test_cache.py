"""The image cache: the same pixels, killed and taken up again, damage noticed, one writer at a time."""

from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from geomoe.datasets.cache import make as make_cache
from geomoe.datasets.cache import pixels as image_cache
from geomoe.datasets.cache import use
from geomoe.datasets.cache.pixels import ImageCache
from geomoe.datasets.collate import collate
from geomoe.datasets.module import ImageDataModule
from geomoe.errors import DataError, OutputError
from tests import forked, pictures

Pictures = pictures.Pictures

ROWS = np.array([3, 4, 7, 11, 12, 20, 21, 30, 31, 32, 40])
TRAIN, TEST = ROWS[[9, 0, 4, 2, 7]], ROWS[[1, 3, 5, 6, 8, 10, 0]]  # in disorder, one row in both


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch, tmp_path):
    monkeypatch.setattr(make_cache, "CHUNK", 4)
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "caches"))


@pytest.fixture
def folder(tmp_path):
    pictures.draw(tmp_path / "png", ROWS)
    return tmp_path / "png"


def parts(folder, size=None):
    return [Pictures(folder, TRAIN, "train", size), Pictures(folder, TEST, "test", size)]


def files(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_the_same_pixels_as_the_files(folder, tmp_path):
    train, test = parts(folder)
    cache = make_cache.make_cache(tmp_path / "cache", [train, test])
    assert sorted(pictures.opened(folder)[1:]) == ROWS.tolist()  # each once, after a look at the first
    for part in (train, test):
        plain = part.read(range(len(part)))
        pictures.opened(folder)
        part.cached = cache
        cached = part.read(range(len(part)))
        assert pictures.opened(folder) == []
        for key, value in plain.items():
            torch.testing.assert_close(cached[key], value, rtol=0, atol=0, equal_nan=True)
            assert cached[key].dtype == value.dtype
    batch = train.__getitems__([2, 0])
    assert collate(batch)["image"].dtype == torch.uint8  # a quarter of the bytes on the way to the device
    torch.testing.assert_close(collate(batch)["image"].float(), plain_of(train, [2, 0]))
    torch.testing.assert_close(batch[1]["image"], plain_of(train, [0])[0])
    torch.testing.assert_close(train[3]["image"], plain_of(train, [3])[0])


def plain_of(part, rows):
    return Pictures(part.folder, part.rows).read(rows)["image"]


def test_resized_pixels_are_rounded_and_nothing_else(folder, tmp_path):
    train, test = parts(folder, 9)
    plain = train.read(range(5))["image"]
    train.cached = make_cache.make_cache(tmp_path / "cache", [train, test])
    assert (train.read(range(5))["image"] - plain.round()).abs().max() == 0


def test_several_processes_make_the_same_files(folder, tmp_path):
    make_cache.make_cache(tmp_path / "one", parts(folder))
    told = []
    make_cache.make_cache(tmp_path / "two", parts(folder), workers=2, tell=lambda *n: told.append(n))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert set(files(tmp_path / "one")) == {"index.json", "pixels.npy", "rows.npy"}
    assert told == [(0, 11), (4, 11), (8, 11), (11, 11)]


@pytest.mark.slow
def test_killed_and_taken_up_again(folder, tmp_path):
    """A process is killed in its second chunk; the next one does not decode the first again."""
    process = forked.start(
        pictures.cache_slowly, folder, tmp_path / "cache", ROWS.tolist(), PICTURES_SLEEP="0.2"
    )
    journal = tmp_path / "cache.partial" / make_cache.DONE
    forked.until(lambda: journal.exists() and journal.read_text().endswith("\n"), process)
    forked.killed(process)
    assert not (tmp_path / "cache").exists()
    done = [json.loads(line)["chunk"] for line in journal.read_text().splitlines()]
    assert done == [0]
    pictures.opened(folder)
    data = Pictures(folder, ROWS)
    make_cache.make_cache(tmp_path / "cache", [data])
    assert pictures.opened(folder) == [ROWS[0], *ROWS[4:]]  # the first tells the shape
    make_cache.make_cache(tmp_path / "whole", [data])
    assert files(tmp_path / "cache") == files(tmp_path / "whole")
    assert not (tmp_path / "cache.partial").exists()


def begin(folder, path, chunks):
    """Stop after some chunks, as Ctrl-C does."""

    def tell(done, total):
        if done == 4 * chunks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cache.make_cache(path, [Pictures(folder, ROWS)], tell=tell)
    pictures.opened(folder)


def test_a_torn_journal_and_a_chunk_that_changed(folder, tmp_path):
    begin(folder, tmp_path / "cache", 2)
    partial = tmp_path / "cache.partial"
    pixels = np.lib.format.open_memmap(partial / "pixels.npy", mode="r+")
    pixels[1, 0, 0, 0] += 1
    pixels.flush()
    with (partial / make_cache.DONE).open("a") as journal:
        journal.write('{"chunk": 2, "sha')
    make_cache.make_cache(tmp_path / "cache", [Pictures(folder, ROWS)]).verify()
    assert pictures.opened(folder) == [ROWS[0], *ROWS[:4], *ROWS[8:]]


def test_chunks_of_large_images_are_small(folder, tmp_path, monkeypatch):
    one = make_cache.make_cache(tmp_path / "one", parts(folder))
    monkeypatch.setattr(make_cache, "CHUNK_BYTES", 2 * 3 * 12 * 12 + 1)
    two = make_cache.make_cache(tmp_path / "two", parts(folder))
    assert (one.index["chunk"], two.index["chunk"]) == (4, 2)
    assert files(tmp_path / "one")["pixels.npy"] == files(tmp_path / "two")["pixels.npy"]
    monkeypatch.setattr(make_cache, "CHUNK_BYTES", 1)
    assert make_cache.make_cache(tmp_path / "three", parts(folder)).index["chunk"] == 1


def test_a_cache_of_an_older_version_is_used(folder, tmp_path):
    """Its index does not say of which type its pixels are."""
    train, test = parts(folder)
    path = make_cache.make_cache(tmp_path / "cache", [train, test]).path
    index = json.loads((path / "index.json").read_text())
    del index["dtype"]
    index["sha256"] = image_cache.digest(index)
    (path / "index.json").write_text(json.dumps(index))
    train.cached = make_cache.make_cache(path, [train, test])
    torch.testing.assert_close(train.read([0, 1])["image"], plain_of(train, [0, 1]))


def test_a_cache_begun_for_other_images_starts_anew(folder, tmp_path):
    begin(folder, tmp_path / "cache", 2)
    cache = make_cache.make_cache(tmp_path / "cache", [Pictures(folder, ROWS[:6])])
    assert cache.rows.tolist() == ROWS[:6].tolist()


def test_a_finished_cache_is_verified_and_kept(folder, tmp_path):
    make_cache.make_cache(tmp_path / "cache", parts(folder))
    pictures.opened(folder)
    make_cache.make_cache(tmp_path / "cache", parts(folder)[:1])  # fewer rows: all there
    assert pictures.opened(folder) == []
    with (tmp_path / "cache" / "pixels.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    with pytest.raises(DataError, match=r"cache: the image cache is damaged \(pixels.npy: images 8 to 10"):
        make_cache.make_cache(tmp_path / "cache", parts(folder))


def test_a_cache_that_lacks_rows_is_replaced(folder, tmp_path):
    small = make_cache.make_cache(tmp_path / "cache", [Pictures(folder, ROWS[:5])])
    large = make_cache.make_cache(tmp_path / "cache", parts(folder))
    assert large.rows.tolist() == ROWS.tolist()
    assert np.asarray(small.pixels).shape[0] == 5  # a run that has it open goes on
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("cache")].count("cache") == 1
    assert not list(tmp_path.glob("cache.*"))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("pixels.npy", lambda b: b[:-1], r"damaged \(pixels.npy: "),
        ("pixels.npy", lambda b: b"", r"damaged \(pixels.npy: "),
        ("pixels.npy", None, r"damaged \(pixels.npy: "),
        (
            "pixels.npy",
            lambda b: b.replace(b"'|u1'", b"'|i1'"),
            r"pixels.npy holds int8 \(11, 3, 12, 12\), not uint8 \(11, 3, 12, 12\)",
        ),
        ("rows.npy", lambda b: b[:-8] + bytes(8), r"damaged \(rows.npy is not what was written"),
        ("index.json", lambda b: b.replace(b'"images": 11', b'"images": 10'), "index.json is not what was"),
        ("index.json", lambda b: b[: len(b) // 2], r"damaged \(index.json: "),
    ],
)
def test_damage_is_noticed_when_it_is_opened(folder, tmp_path, name, damage, message):
    make_cache.make_cache(tmp_path / "cache", parts(folder))
    file = tmp_path / "cache" / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        ImageCache(tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_unreadable_images_are_listed_and_never_served(folder, tmp_path):
    (folder / f"{TRAIN[2]}.png").write_bytes(b"")
    (folder / f"{TEST[1]}.png").unlink()
    train, test = parts(folder)
    cache = make_cache.make_cache(tmp_path / "cache", [train, test], workers=1)
    assert [row for row, _ in cache.unreadable] == sorted([TRAIN[2], TEST[1]])
    assert "11.png: no such image" in cache.unreadable[0].problem
    train.cached = cache
    good = train.read([0, 1, 3, 4])["image"]
    torch.testing.assert_close(good, plain_of(train, [0, 1, 3, 4]))
    with pytest.raises(DataError, match=r"12.png: an empty file"):
        train.read([0, 2])
    pictures.draw(folder, [TRAIN[2]])  # mended: read from the file
    torch.testing.assert_close(train.read([2, 0])["image"], plain_of(train, [2, 0]))


def test_what_cannot_be_cached_is_refused_in_one_line(folder, tmp_path):
    pictures.draw(folder, [ROWS[5]], size=10)
    with pytest.raises(
        DataError, match=r"row 20 has an image \(3, 10, 10\), others have \(3, 12, 12\); give"
    ):
        make_cache.make_cache(tmp_path / "cache", parts(folder))
    make_cache.make_cache(tmp_path / "sized", parts(folder, 8))
    for path in folder.glob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"none of 11 images can be read; the first: .*not a picture"):
        make_cache.make_cache(tmp_path / "other", parts(folder))

    class Deep(Pictures):
        def load_image(self, index):
            row = int(self.rows[index])
            return torch.full((3, 12, 12), row, dtype=self.kinds[row > 7])

    for kinds, message in (
        ((torch.int32,) * 2, "row 3 has an image of int32; a cache keeps uint8, uint16, int16, float32"),
        ((torch.uint8, torch.int16), "row 11 has an image of int16, others have uint8"),
    ):
        Deep.kinds = kinds
        with pytest.raises(DataError, match=message):
            make_cache.make_cache(tmp_path / "deep", [Deep(folder, ROWS)])
        assert not (tmp_path / "deep").exists()
    Deep.kinds = (torch.uint16,) * 2
    deep = Deep(folder, ROWS)
    deep.cached = make_cache.make_cache(tmp_path / "deep", [deep])
    assert deep.cached.pixels.dtype == np.uint16
    assert deep[2]["image"].unique().tolist() == [ROWS[2]]


def test_a_full_disk_is_refused_before_the_work(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(make_cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(
        OutputError, match=r"GB are needed, .* are free; point GEOMOE_CACHE to a folder with room"
    ):
        make_cache.make_cache(tmp_path / "cache", parts(folder))


def test_one_writer_at_a_time(folder, tmp_path):
    def tell(done, total):
        with pytest.raises(OutputError, match="another process is making this cache"):
            make_cache.make_cache(tmp_path / "cache", parts(folder))

    make_cache.make_cache(tmp_path / "cache", parts(folder), tell=tell)


class PicturesModule(ImageDataModule):
    name = "pictures"

    def open(self, split):
        return Pictures(self.root, TRAIN if split == "train" else TEST, split, self.image_size)


def test_a_run_uses_it_when_it_is_there(folder, caplog):
    caplog.set_level(logging.INFO)
    plain = PicturesModule(folder, image_size=9).dataset("test")
    assert plain.cached is None
    path = use.cache_path("pictures", plain)
    assert path.parent == Path(os.environ["GEOMOE_CACHE"]) / "images"
    make_cache.make_cache(path, [plain])
    pictures.opened(folder)
    module = PicturesModule(folder, image_size=9, batch_size=2, num_workers=1)
    batches = [batch["image"] for batch in module.test_dataloader()]
    assert pictures.opened(folder) == []
    torch.testing.assert_close(torch.cat(batches).float(), plain.read(range(7))["image"].round())
    assert f"pictures test: 7 of 7 images come from the cache {path}" in caplog.text
    assert PicturesModule(folder, image_size=8).dataset("test").cached is None  # another size
    module.dataset("train")
    assert "pictures train: 1 of 5 images come from the cache" in caplog.text
    again = pickle.loads(pickle.dumps(module.dataset("test")))
    torch.testing.assert_close(again.read([0])["image"], module.dataset("test").read([0])["image"])
    (path / "rows.npy").unlink()
    with pytest.raises(DataError, match="the image cache is damaged"):
        PicturesModule(folder, image_size=9).dataset("test")


def test_protocols_over_the_same_images_share_one(folder, monkeypatch):
    from geomoe.catalogue import CATALOGUE, Entry

    monkeypatch.setitem(CATALOGUE, "pictures-lao", Entry("x:Y", source="pictures"))
    data = Pictures(folder, ROWS)
    assert use.cache_path("pictures-lao", data) == use.cache_path("pictures", data)


def test_pictures_of_the_tests_are_lossless(folder):
    pixels = pictures.draw(folder, ROWS)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "7.png")), pixels[2])


@pytest.mark.slow
def test_protocols_of_fmow_share_one(tmp_path):
    from geomoe.datasets.fmow.reader import FMoW
    from geomoe.datasets.samples import fmow

    fmow.write(tmp_path / "data")
    official, later = (FMoW(tmp_path / "data", "test", protocol=p) for p in ("official", "time_after_2014"))
    assert official.data_hash != later.data_hash
    assert use.cache_path("fmow", official) == use.cache_path("fmow-lao", later)
