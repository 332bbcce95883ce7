"""Changed pixels are noticed: by size, time and a sample in every run, byte by byte in a check."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from geomoe.checking.check import CheckOptions
from geomoe.checking.run import check_data
from geomoe.config import DataConfig, RunConfig
from geomoe.datasets.folder.index import hash_of
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.errors import DataError
from geomoe.inference.sweep import open_split
from geomoe.support.content import PART, PARTS, content_of, sample_of
from tests.datasets.folder.test_cache import make, write_folder

NAME = "7.tif"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "caches"))
    return write_folder(tmp_path / "data", ["uint16"])


def module(folder):
    return FolderDataModule(folder, metadata=str(folder / "points.csv"), image_size=7)


def change(folder, *, keep_time, byte=-1):
    """Another value in one byte of one file."""
    path = folder / NAME
    before, content = path.stat(), bytearray(path.read_bytes())
    content[byte] ^= 0x55
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_changed_pixel_changes_the_hash_and_the_cache(keep_time, folder):
    before = module(folder)
    make(before)
    facts = before.info()
    assert module(folder).dataset("train").cached is not None
    change(folder, keep_time=keep_time)
    after = module(folder)
    assert after.info()["data_hash"] != facts["data_hash"]
    assert after.dataset("train").cached is None
    assert not np.array_equal(after.info()["mean"], facts["mean"])  # the statistics are measured again


def test_a_copy_elsewhere_and_at_another_time_is_the_same_data(folder, tmp_path):
    before = module(folder)
    shutil.copytree(folder, tmp_path / "copy", ignore=lambda *given: ["points.csv.geomoe"])
    for path in (tmp_path / "copy").iterdir():
        os.utime(path, (1, 1))
    after = module(tmp_path / "copy")
    assert after.info()["data_hash"] == before.info()["data_hash"]
    assert after.dataset("train").image_key == before.dataset("train").image_key


@pytest.mark.slow
def test_a_sample_sees_five_parts_and_every_byte_of_small_files(tmp_path):
    path, size = tmp_path / "a", 100 * PART
    content = bytearray(np.random.default_rng(0).bytes(size))
    path.write_bytes(content)
    sample, whole = sample_of(path), content_of(path)
    seen = []
    for byte in range(0, size, PART // 2):
        changed = content.copy()
        changed[byte] ^= 1
        path.write_bytes(changed)
        assert content_of(path) != whole
        seen.append(sample_of(path) != sample)
    parts = np.array([k * (size - PART) // (PARTS - 1) for k in range(PARTS)])[:, None]
    at = np.arange(0, size, PART // 2)
    assert seen == ((at >= parts) & (at < parts + PART)).any(axis=0).tolist()
    small = bytearray(content[: PART * PARTS])
    path.write_bytes(small)
    sample = sample_of(path)
    for byte in (0, 5000, len(small) - 1):
        changed = small.copy()
        changed[byte] ^= 1
        path.write_bytes(changed)
        assert sample_of(path) != sample
    os.mkfifo(tmp_path / "pipe")  # never waited for
    assert sample_of(tmp_path / "pipe") == content_of(tmp_path / "pipe") == sample_of(tmp_path / "no") == ""


def test_a_check_reads_every_byte(folder):
    """A change that size, time and sample do not show: told by a check, after which runs know it."""
    path = folder / NAME
    path.write_bytes(path.read_bytes() + bytes(20 * PART))  # a TIFF may have bytes that nothing points to
    config = RunConfig(data=DataConfig(name="folder", root=str(folder), metadata="points.csv"))
    before = module(folder).info()["data_hash"]
    byte = path.stat().st_size - 2 * PART
    change(folder, keep_time=True, byte=byte)
    assert module(folder).info()["data_hash"] == before  # what docs/datasets/folder.md says is not seen
    quick = check_data(config, CheckOptions(images=0)).found.findings
    assert "files" not in {one.where for one in quick}
    found = [one for one in check_data(config).found.findings if one.where == "files"]
    assert [one.severity for one in found] == ["warning"]
    assert "1 image has changed since an earlier run, although size and time have not" in found[0].what
    assert NAME in found[0].what
    assert module(folder).info()["data_hash"] != before
    assert not [one for one in check_data(config).found.findings if one.where == "files"]


def test_a_checkpoint_of_an_older_version_still_fits_its_data(folder, caplog):
    """Their hash had the sizes of files in the place of their contents."""
    made = module(folder)
    index = made.index
    places = np.round(index.columns.lonlat, 6)
    table = pd.read_csv(folder / "points.csv")
    facts = [index.filename, table["label"].astype(str).to_numpy(), index.columns.domain, index.split, places]
    old = hash_of([*facts, index.size, ()])
    assert made.dataset("test").earlier_hashes == (old,)
    config = RunConfig(data=DataConfig(name="folder", root=str(folder), metadata="points.csv"))

    class Trained:
        """What is asked of a predictor."""

        classes, info = list(index.classes), {"data_hash": old}

    Trained.config = replace(config)
    caplog.set_level(logging.INFO)
    assert len(open_split(Trained, "test"))
    Trained.info = {"data_hash": "0" * 64}
    with pytest.raises(DataError, match="was trained on data"):
        open_split(Trained, "test")
