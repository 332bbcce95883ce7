"""The image cache of somebody's own images: every type of pixel, pixels without data, and what it goes by."""

from __future__ import annotations

import logging
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.enums import ColorInterp

from geomoe.datasets.cache import make as make_cache
from geomoe.datasets.cache.use import cache_path
from geomoe.datasets.folder.reader import FolderDataModule

COUNT, PIXELS = 18, 10
SPLITS = ("train", "train", "val", "test", "train", "extra")
DOMAINS = ("north", "south")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch, tmp_path):
    monkeypatch.setattr(make_cache, "CHUNK", 4)
    monkeypatch.setenv("GEOMOE_CACHE", str(tmp_path / "caches"))


def values_of(dtype, number, bands=4):
    """Random raw values over the type's whole range, for floats around 0."""
    generator = np.random.default_rng(number)
    if np.issubdtype(dtype, np.floating):
        return generator.normal(0, 1e3, (bands, PIXELS, PIXELS)).astype(dtype)
    limits = np.iinfo(dtype)
    values = generator.integers(max(limits.min, -(2**20)), min(limits.max, 2**20), (bands, PIXELS, PIXELS))
    return values.astype(dtype)


def write_tif(path, values, **options):
    shape = dict(zip(("count", "height", "width"), values.shape, strict=True))
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **shape, **options) as file:
        file.write(values)
        if len(values) == 4:  # not red, green, blue and transparency
            file.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * 3


def write_table(folder, names):
    rows = {
        "filename": names,
        "label": [f"class {number % 3}" for number in range(len(names))],
        "lon": np.linspace(-170, 170, len(names)),
        "lat": np.linspace(-60, 60, len(names)),
        "domain": [DOMAINS[number // 6 % 2] for number in range(len(names))],
        "split": [SPLITS[number % 6] for number in range(len(names))],
    }
    pd.DataFrame(rows).to_csv(folder / "points.csv", index=False)


def write_folder(folder, dtypes, change=lambda number, values: values, **options):
    """A folder of GeoTIFFs, whose types take turns."""
    folder.mkdir()
    names = [f"{number}.tif" for number in range(COUNT)]
    for number, name in enumerate(names):
        values = change(number, values_of(np.dtype(dtypes[number % len(dtypes)]), number))
        write_tif(folder / name, values, **options)
    write_table(folder, names)
    return folder


def module(folder, size=None, **options):
    options = {"batch_size": 4, "augment": "none", **options}
    return FolderDataModule(folder, metadata="points.csv", image_size=size, **options)


def make(data, **options):
    """Cache every split of a data module."""
    parts = [data.dataset(name) for name in data.split_names()]
    return make_cache.make_cache(cache_path("folder", parts[0]), parts, **options)


def images_of(data, split="test"):
    part = data.dataset(split)
    return part.read(range(len(part)))["image"]


def path_of(folder, size=None, **options):
    return cache_path("folder", module(folder, size, **options).dataset("test"))


CASES = {
    "uint8": (["uint8"], "uint8"),
    "uint16": (["uint16"], "uint16"),
    "int16": (["int16"], "int16"),
    "bytes and words": (["uint8", "uint16"], "uint16"),
    "bytes and shorts": (["uint8", "int16"], "int16"),
    "words and shorts": (["uint16", "int16"], "float32"),
    "uint32": (["uint32"], "float32"),
    "float32": (["float32"], "float32"),
    "float64": (["float64"], "float32"),
    "words and floats": (["uint16", "float32"], "float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_type_is_kept_in_the_smallest_that_holds_it(case, tmp_path):
    dtypes, kept = CASES[case]
    folder = write_folder(tmp_path / "data", dtypes)
    cache = make(module(folder))
    assert (cache.pixels.dtype, cache.index["dtype"]) == (kept, kept)
    made = module(folder)
    test = made.dataset("test")
    assert test.cached is not None
    for number, name in enumerate(test.filenames):
        with rasterio.open(folder / name) as source:
            raw = source.read()
        assert raw.any()
        np.testing.assert_array_equal(test[number]["image"].numpy(), raw.astype(np.float32))


@pytest.mark.parametrize("case", CASES)
def test_resized_integers_are_rounded_and_floats_are_the_same_bits(case, tmp_path):
    dtypes, kept = CASES[case]
    folder = write_folder(tmp_path / "data", dtypes)
    plain, before = module(folder, 7), {}
    for split in plain.split_names():
        before[split] = images_of(plain, split)
    make(module(folder, 7))
    cached = module(folder, 7)
    for split, expected in before.items():
        found = images_of(cached, split)
        assert found.dtype == torch.float32
        expected = expected if kept == "float32" else expected.round()
        assert torch.equal(found, expected)
        assert not torch.equal(found[0], found[0].round()) or kept != "float32"


@pytest.mark.slow
def test_batches_of_a_loader_are_ready_for_a_network(tmp_path):
    """Through collate, workers, augmentation and normalising: as without a cache, half a level apart."""
    folder = write_folder(tmp_path / "data", ["uint16"])
    ready = []
    for _ in range(2):
        made = module(folder, 8, augment="flips_rotations", num_workers=1)
        torch.manual_seed(3)
        sample = next(iter(made.train_dataloader()))
        ready.append(made.to_batch(sample, train=True).image)
        make(module(folder, 8))
    assert sample["image"].dtype == torch.float32
    half = (0.5 / made.statistics()[1]).view(-1, 1, 1)
    assert (ready[0] - ready[1]).abs().max() > 0
    assert ((ready[0] - ready[1]).abs() <= half * 1.01).all()
    made.dataset("train").rows[:] = -1  # not in the cache: from the files, rounded all the same
    torch.manual_seed(3)
    assert torch.equal(made.to_batch(next(iter(made.train_dataloader())), train=True).image, ready[1])


def test_pictures_of_every_mode_are_bytes(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    names = []
    for number in range(COUNT):
        mode = ("RGB", "L", "P")[number % 3]
        suffix = "png" if number % 2 or mode == "P" else "jpg"
        values = np.moveaxis(values_of(np.dtype(np.uint8), number, 3), 0, -1)
        picture = Image.fromarray(values)
        picture = picture.quantize(200) if mode == "P" else picture.convert(mode)
        picture.save(folder / f"{number}.{suffix}")
        names.append(f"{number}.{suffix}")
    write_table(folder, names)
    before = images_of(module(folder))
    assert make(module(folder)).pixels.dtype == np.uint8
    made = module(folder)
    test = made.dataset("test")
    assert test.__getitems__([0, 1]).batch["image"].dtype == torch.uint8  # until it is on the device
    assert torch.equal(images_of(made), before)
    pixels = np.asarray(Image.open(folder / test.filenames[0]).convert("RGB"))
    np.testing.assert_array_equal(test[0]["image"].numpy(), np.moveaxis(pixels, -1, 0))


# --- pixels without data ------------------------------------------------------------------------


def corner(value):
    """A corner of every third image is without data; north is much brighter than south."""

    def change(number, values):
        values = (values // 4 + (20_000 if number // 6 % 2 else 1)).astype(values.dtype)
        if number % 3 == 0:
            values[:, :3, :4] = value
        return values

    return change


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_pixels_without_data_have_the_mean_of_the_run_that_reads_them(dtype, tmp_path):
    nodata, value = (0, 0) if dtype == "uint16" else (None, np.nan)
    folder = write_folder(tmp_path / "data", [dtype], corner(value), nodata=nodata)
    runs = {held_out: module(folder, held_out=held_out) for held_out in (None, "north", "south")}
    paths = {held_out: make(run).path for held_out, run in runs.items()}
    assert len(set(paths.values())) == 3
    means = []
    for held_out, path in paths.items():
        run = module(folder, held_out=held_out)
        part = run.dataset("test")
        assert part.cached.path == path
        assert (part.cached.positions(part.rows) >= 0).all()
        gap = part.read([0])["image"][0, :, :3, :4]
        assert part.filenames[0] == "3.tif"
        mean = torch.tensor(run.measured.mean).float().view(-1, 1, 1).expand_as(gap)
        assert torch.equal(gap, mean if dtype == "float32" else mean.round())
        means.append(mean.flatten()[0].item())
    assert len({round(mean) for mean in means}) == 3  # a shared cache would have been wrong by whole levels


def test_another_split_is_another_mean(tmp_path):
    folder = write_folder(tmp_path / "data", ["uint16"], corner(0), nodata=0)
    table = pd.read_csv(folder / "points.csv").drop(columns="split")
    table.to_csv(folder / "points.csv", index=False)
    first, second = (module(folder, split_seed=seed) for seed in (0, 1))
    assert (first.measured.mean != second.measured.mean).all()
    make(first)
    assert module(folder, split_seed=0).dataset("test").cached is not None
    assert module(folder, split_seed=1).dataset("test").cached is None


def test_without_such_pixels_all_runs_share_one_cache(tmp_path):
    folder = write_folder(tmp_path / "data", ["uint16"])
    assert (module(folder, held_out="north").measured.mean != module(folder).measured.mean).all()
    path = make(module(folder)).path
    assert path_of(folder, held_out="north") == path_of(folder, split_seed=5) == path


def test_edges_of_what_has_data_are_the_same_mixture(tmp_path):
    """Resized, a filled image mixes data and mean."""
    folder = write_folder(tmp_path / "data", ["float32"], corner(np.nan))
    before = images_of(module(folder, 7))
    make(module(folder, 7))
    assert torch.equal(images_of(module(folder, 7)), before)


# --- what the cache goes by ---------------------------------------------------------------------


def touch(folder, name="7.tif"):
    stat = (folder / name).stat()
    os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def replace(folder):
    """Other pixels, the same number of bytes."""
    size = (folder / "7.tif").stat().st_size
    write_tif(folder / "7.tif", values_of(np.dtype(np.uint16), 99))
    assert (folder / "7.tif").stat().st_size == size


def edit(change):
    def apply(folder):
        table = pd.read_csv(folder / "points.csv")
        change(table).to_csv(folder / "points.csv", index=False)

    return apply


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (touch, True),
        (replace, False),
        (lambda folder: (folder / "7.tif").write_bytes(b""), False),  # skipped: later rows move up
        (edit(lambda table: table.drop(index=2)), False),
        (edit(lambda table: table.iloc[::-1]), False),
        (edit(lambda table: table.assign(label=[f"new {n % 2}" for n in range(COUNT)])), True),
        (edit(lambda table: table.assign(lon=0.0, domain="one")), True),
        (edit(lambda table: table.assign(split=np.roll(table.split, 1))), True),
        (lambda folder: (folder / "not in the table.tif").write_bytes(b"x"), True),
    ],
)
def test_it_goes_by_files_and_rows_not_by_labels_or_splits(change, same, tmp_path):
    folder = write_folder(tmp_path / "data", ["uint16"])
    make(module(folder, 7))
    change(folder)
    made = module(folder, 7)
    assert (made.dataset("test").cached is not None) == same
    shutil.rmtree(tmp_path / "caches")
    assert torch.equal(images_of(made).round(), images_of(module(folder, 7)).round())


def test_it_goes_by_the_choice_of_bands(tmp_path):
    folder = write_folder(tmp_path / "data", ["uint16"])
    choices = [(), (1,), (2, 1), (1, 2)]
    assert len({path_of(folder, bands=bands) for bands in choices}) == len(choices)
    make(module(folder, bands=(2, 1)))
    made = module(folder, bands=(2, 1))
    assert made.dataset("test").cached is not None
    with rasterio.open(folder / made.dataset("test").filenames[0]) as source:
        np.testing.assert_array_equal(images_of(made)[0].numpy(), source.read([2, 1]))


@pytest.mark.slow
def test_a_folder_that_moved_keeps_its_cache(tmp_path):
    folder = write_folder(tmp_path / "data", ["uint16"])
    path = make(module(folder)).path
    folder.rename(tmp_path / "elsewhere")
    assert path_of(tmp_path / "elsewhere") == path


def test_headers_of_an_older_version_are_looked_at_again(tmp_path):
    folder = write_folder(tmp_path / "data", ["uint16"])
    path, kept = path_of(folder), folder / "points.csv.geomoe/images.parquet"
    pd.read_parquet(kept).drop(columns="gaps").to_parquet(kept)
    assert path_of(folder) == path
    assert "gaps" in pd.read_parquet(kept)


def test_further_splits_of_the_table_are_cached_too(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = write_folder(tmp_path / "data", ["uint16"])
    assert module(folder, held_out="north").split_names() == ("train", "val", "test", "held_out", "extra")
    assert make(module(folder)).rows.tolist() == list(range(COUNT))
    module(folder).dataset("extra")
    assert "folder extra: 3 of 3 images come from the cache" in caplog.text
