"""A split that is made keeps neighbours together: chips of a scene, groups, and a buffer in km."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin

from geomoe.checking.run import check_data
from geomoe.config import DataConfig, RunConfig
from geomoe.config.load import read_config
from geomoe.coords import great_circle_km
from geomoe.datasets.folder.reader import FolderDataModule
from geomoe.datasets.folder.units import parent_pairs, split_units
from geomoe.earth.footprints import Footprints, touching
from geomoe.errors import DataError

NAMES = ("train", "val", "test")
NONE = np.full((4, 2), np.nan)


def chip(lon, lat, side=0.01):
    return np.array([(lon, lat), (lon + side, lat), (lon + side, lat - side), (lon, lat - side)])


def scenes(count, rows=3, columns=3, gap=1.0, side=0.01):
    """Names and footprints of chips of scenes that lie a gap apart."""
    names, corners = [], []
    for scene, row, column in itertools.product(range(count), range(rows), range(columns)):
        names.append(f"images/{'abcdefghijklmnopqrstuvwxyz'[scene]}_{row}_{column}.tif")
        corners.append(chip(10 + gap * scene + column * side, 50 - row * side, side))
    corners = np.array(corners)
    return np.array(names, dtype=object), Footprints(corners, corners.mean(axis=1))


def made(names, places, groups=(), earlier=None, kinds=3, seed=0):
    kind = np.array([f"k{number % kinds}" for number in range(len(names))], dtype=object)
    return split_units(names, places, kind, list(groups), seed, earlier or {})


def crossings(split, places):
    """Pairs of touching images in different splits that count."""
    pairs = touching(places)
    a, b = split[pairs[:, 0]], split[pairs[:, 1]]
    return int(((a != b) & np.isin(a, NAMES) & np.isin(b, NAMES)).sum())


@pytest.mark.parametrize("count", [3, 5, 12, 26])
@pytest.mark.parametrize("gap", [1.0, 0.05])
def test_chips_of_a_scene_stay_together(count, gap):
    names, places = scenes(count, gap=gap)
    found = made(names, places)
    assert set(found.split) == set(NAMES)
    assert crossings(found.split, places) == 0
    assert not found.cut
    for scene in range(count):
        assert len(set(found.split[scene * 9 : scene * 9 + 9])) == 1
        assert len(set(found.unit[scene * 9 : scene * 9 + 9])) == 1
    if count >= 12:
        shares = [np.mean(found.split == name) for name in NAMES]
        np.testing.assert_allclose(shares, (0.6, 0.2, 0.2), atol=0.12)


def test_names_of_one_parent_stay_together_without_places():
    names, _ = scenes(5)
    nowhere = Footprints(np.stack([NONE] * 45), np.full((45, 2), np.nan))
    found = made(names, nowhere)
    assert all(len(set(found.split[k : k + 9])) == 1 for k in range(0, 45, 9))
    assert set(found.split) == set(NAMES)


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("s/scene_0_1.tif", "s/scene"), ("scene-r0-c1.tif", "scene"), ("A x12 y3.png", "A"),
        ("t_row0_col12.tif", "t"), ("scene_1.tif", ""), ("forest12.tif", ""), ("utm 01.tif", ""),
        ("0_1.tif", ""), ("airport_0_1_rgb.png", ""),
    ],
)  # fmt: skip
def test_parents(name, parent):
    from geomoe.datasets.folder.units import _parent

    assert _parent(name).lstrip("/") == parent


def test_dates_and_places_far_apart_make_no_parent():
    names = np.array([f"S2_2021_{month:02d}.tif" for month in range(9)] + ["x.tif"], dtype=object)
    assert len(parent_pairs(names, np.full((10, 2), np.nan))) == 0
    names = np.array([f"{kind}_{k}_{k}.tif" for kind in "abcd" for k in range(3)], dtype=object)
    lonlat = np.zeros((12, 2))
    assert len({tuple(pair) for pair in parent_pairs(names, lonlat).tolist()}) == 12
    lonlat[4] = (20, 0)  # of b
    assert {int(pair[0]) for pair in parent_pairs(names, lonlat)} == {0, 6, 9}


def test_a_column_of_groups_stays_together_whatever_the_places():
    rng = np.random.default_rng(0)
    lonlat = np.stack([rng.uniform(-180, 180, 120), rng.uniform(-60, 60, 120)], axis=1)
    places = Footprints(np.stack([NONE] * 120), lonlat)
    names = np.array([f"{k}.tif" for k in range(120)], dtype=object)
    group = np.array([f"g{k % 12}" if k % 5 else "" for k in range(120)], dtype=object)
    scene = np.array([f"s{k // 2}" if k < 20 else "" for k in range(120)], dtype=object)
    found = made(names, places, [group, None, scene])
    for column in (group, scene):
        for value in set(column) - {""}:
            assert len(set(found.split[column == value])) == 1
    assert set(found.split) == set(NAMES)
    one = np.full(120, "all", dtype=object)
    with pytest.raises(DataError, match="too few for train, val and test"):
        made(names, places, [one])


def test_a_mosaic_is_cut_and_images_at_the_cuts_are_left_out():
    names, places = scenes(1, rows=20, columns=20)
    names = np.array([f"tile{k}.tif" for k in range(400)], dtype=object)
    found = made(names, places)
    assert found.cut
    assert crossings(found.split, places) == 0
    counts = {name: int((found.split == name).sum()) for name in (*NAMES, "left_out")}
    assert min(counts[name] for name in NAMES) >= 20
    assert 0 < counts["left_out"] < 200
    beside: dict[int, set[str]] = {}
    for one, other in touching(places).tolist():
        beside.setdefault(one, set()).add(found.split[other])
        beside.setdefault(other, set()).add(found.split[one])
    for row in np.flatnonzero(found.split == "left_out").tolist():  # none without need
        assert beside[row] & {"val", "test"}


def test_new_images_move_no_old_one():
    names, places = scenes(12)
    whole = made(names, places)
    first = np.ones(len(names), bool)
    first[3::9] = False  # one chip of each scene comes later
    before = made(names[first], places.take(first))
    kept = dict(zip(names[first], zip(before.split, before.unit, strict=True), strict=True))
    after = made(names, places, earlier=kept)
    assert (after.split[first] == before.split).all()
    assert crossings(after.split, places) == 0
    assert set(after.split) == set(NAMES)  # the new ones follow their scene
    again = dict(zip(names, zip(after.split, after.unit, strict=True), strict=True))
    np.testing.assert_array_equal(made(names, places, earlier=again).split, after.split)
    assert whole.unit[0] == after.unit[0]
    bridge = chip(10.03, 50.0, 1.0)  # touches the scenes a and b, and overlaps what lies between
    corners = np.concatenate([places.corners, bridge[None]])
    more = Footprints(corners, np.concatenate([places.lonlat, bridge.mean(axis=0)[None]]))
    if whole.split[0] != whole.split[9]:
        last = made(np.append(names, "bridge.tif"), more, earlier=again)
        assert (last.split[:-1] == after.split).all()
        assert crossings(last.split, more) == 0


# --- a folder of chips --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six scenes of four adjacent chips in UTM, further and further apart; no split."""
    path = tmp_path_factory.mktemp("chips")
    rows = []
    for scene, row, column in itertools.product(range(6), range(2), range(2)):
        name = f"{'abcdef'[scene]}_{row}_{column}.tif"
        place = from_origin(5e5 + scene**2 * 2640 + column * 320, 5.5e6 - row * 320, 10, 10)
        options = {"driver": "GTiff", "count": 3, "width": 32, "height": 32, "dtype": "uint8"}
        with rasterio.open(path / name, "w", crs="EPSG:32633", transform=place, **options) as file:
            file.write(np.full((3, 32, 32), 10 * scene + row, np.uint8))
        rows.append((name, f"class {(row + column) % 2}"))
    pd.DataFrame(rows, columns=["filename", "label"]).to_csv(path / "points.csv", index=False)
    return path


def module(folder, table="points.csv", **options):
    return FolderDataModule(folder, metadata=str(folder / table), image_size=8, **options)


def config(folder, table="points.csv", **changes):
    return RunConfig(data=DataConfig(name="folder", root=str(folder), metadata=table, **changes))


def faults(found):
    return [one.what for one in found.findings if one.severity == "fault"]


@pytest.mark.slow
def test_a_made_split_is_sound_and_that_of_rule_one_is_not(folder):
    index = module(folder).index
    assert all(len(set(index.split[k : k + 4])) == 1 for k in range(0, 24, 4))
    assert (folder / "points.csv.geomoe/split-v2-0.csv").is_file()
    assert check_data(config(folder)).found.sound
    old = module(folder, split_version=1).index
    assert crossings(old.split, old.footprints) > 0
    found = check_data(config(folder, split_version=1)).found
    assert not found.sound
    expected = touching(old.footprints)
    here = {
        int(k)
        for pair in expected
        for k, other in (pair, pair[::-1])
        if (old.split[k], old.split[other]) == ("test", "train")
    }
    assert any(
        text.startswith(f"{len(here)} images of test touch or overlap images of train")
        for text in faults(found)
    )
    assert any("rule 1" in one.what for one in found.findings)


def test_a_check_fails_on_neighbours_and_groups_in_a_given_split(folder):
    table = pd.read_csv(folder / "points.csv")
    table["split"] = ["train", "train", "val", "test"] * 6
    table["group"] = [f"g{k // 4}" for k in range(24)]
    table.to_csv(folder / "given.csv", index=False)
    found = faults(check_data(config(folder, "given.csv")).found)
    assert any("6 images of test touch or overlap images of train" in text for text in found)
    assert any("6 groups (column group or scene) have images in both" in text for text in found)
    table["split"] = np.repeat(["train", "train", "val", "test", "test", "train"], 4)
    table.to_csv(folder / "given.csv", index=False)
    assert check_data(config(folder, "given.csv")).found.sound


@pytest.mark.parametrize("placed", [False, True])
def test_a_check_looks_at_the_names_of_chips_in_a_given_split(tmp_path, placed):
    rows = []
    for number in range(24):
        scene, chip = divmod(number, 4)
        name = f"2020010{scene}_{chip:02d}_{chip:02d}.tif"
        x = 300_000 + 2_000 * number  # 640 m on a side: none touches another
        where = (
            {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, x, 0, -10, 5_500_000)} if placed else {}
        )
        with rasterio.open(tmp_path / name, "w", "GTiff", 64, 64, 3, dtype="uint8", **where) as made:
            made.write(np.random.default_rng(number).integers(0, 255, (3, 64, 64), dtype=np.uint8))
        rows.append((name, "ab"[number % 2], ("train", "train", "val", "test")[chip], scene))
    table = pd.DataFrame(rows, columns=["filename", "label", "split", "number"])
    table.to_csv(tmp_path / "given.csv", index=False)
    found = check_data(config(tmp_path, "given.csv")).found
    said = "6 scenes have images in both, by their names (first: 20200100_00_00.tif)"
    severities = {one.severity for one in found.findings if said in one.what}
    assert severities == {"warning" if placed else "fault"}  # outlines that are apart say more than names
    table["split"] = np.array(["train", "train", "train", "train", "val", "test"])[table["number"]]
    table.to_csv(tmp_path / "given.csv", index=False)
    assert not any(
        "by their names" in one.what for one in check_data(config(tmp_path, "given.csv")).found.findings
    )


def test_a_buffer_leaves_training_images_out_and_says_how_many(folder, caplog):
    whole = module(folder)
    before = whole.index
    test, train = (before.columns.lonlat[before.split == name] for name in ("test", "train"))
    km = min(great_circle_km(train, np.broadcast_to(place, train.shape)).min() for place in test)
    near = module(folder, split_buffer_km=km)
    index = near.index
    test = before.split == "test"
    assert (index.split[test] == "test").all()
    left = int(((before.split == "train") & (index.split == "left_out")).sum())
    assert left > 0
    said = f"left out within {km:g} km of the next split: {left} of train"
    assert said in caplog.text
    assert said in " ".join(index.remarks)
    kept = index.columns.lonlat[index.split == "train"]
    for place in index.columns.lonlat[test]:
        assert (great_circle_km(kept, np.broadcast_to(place, kept.shape)) > km).all()
    assert index.data_hash != before.data_hash
    assert len(module(folder).dataset("train")) == (before.split == "train").sum()  # nothing of it is kept
    assert near.dataset("train").overlapping
    assert check_data(config(folder, split_buffer_km=km)).found.sound
    with pytest.raises(DataError, match=r"data\.split_buffer_km: within 500 km no image is left for train"):
        module(folder, split_buffer_km=500.0).dataset("train")


def test_an_old_run_keeps_its_own_split(folder):
    """A configuration that an older version wrote has no rule: it meant the first."""
    values = config(folder).as_dict()
    assert read_config(values).data.split_version == 2
    del values["data"]["split_version"]
    assert read_config(values).data.split_version == 1
    other = replace(RunConfig(), data=DataConfig()).as_dict()
    del other["data"]["split_version"]
    assert read_config(other).data.split_version == 2  # no other data set has a split that is made
    old, new = module(folder, split_version=1).index, module(folder).index
    assert (old.split != new.split).any()
    assert old.data_hash != new.data_hash
