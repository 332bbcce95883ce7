"""Parity with the package wilds: every split, label, group, place, picture and score, on tricky tables."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from geomoe.datasets.collate import collate
from geomoe.datasets.fmow.reader import FMoW, FMoWLAO
from geomoe.datasets.fmow_names import REGIONS
from geomoe.datasets.iwildcam.reader import IWildCam
from geomoe.datasets.samples import fmow as fmow_sample
from geomoe.datasets.samples import iwildcam as iwildcam_sample
from geomoe.datasets.wilds import compat as wilds_compat
from geomoe.datasets.wilds.images import from_wilds
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError, DependencyNotFoundError, InputError
from geomoe.evaluation.official import official_scores
from geomoe.evaluation.scores import score
from geomoe.inference import Predictions

SPLITS = ("train", "val", "test", "id_val", "id_test")
PROTOCOLS = ("official", "time_after_2016", "time_after_2013", "time_after_2010", "mixed-to-test")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wilds")
    fmow_sample.write(folder)
    iwildcam_sample.write(folder)
    return folder


@pytest.fixture(scope="module")
def opened(root):
    """Wilds' own data set of a name and split scheme."""
    folders = {"fmow": "fmow_v1.1", "iwildcam": "iwildcam_v2.0"}
    return cache(
        lambda name, scheme="official": wilds_compat.open_wilds(
            name, root / folders[name], split_scheme=scheme
        )
    )


def region_names(inner):
    """Wilds numbers regions as they come in its table, and gives Antarctica, which has none, a group."""
    return [name if isinstance(name, str) else "Other" for name in inner.metadata_map["region"]]


# --- splits, labels, groups ---------------------------------------------------------------------


@pytest.mark.slow
def test_the_table_has_what_breaks_readers(root):
    table = pd.read_csv(root / "fmow_v1.1" / "rgb_metadata.csv")
    sequestered = np.flatnonzero(table["split"] == "seq")
    assert 0 < np.median(sequestered) < len(table) - len(sequestered)  # between the others
    with pytest.raises(ValueError, match="doesn't match format"):
        pd.to_datetime(table["timestamp"])  # why wilds cannot open it unmended


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("split", SPLITS)
def test_fmow(root, opened, split, protocol):
    inner = opened("fmow", protocol)
    subset, data = inner.get_subset(split), FMoW(root, split, protocol=protocol)
    rows = inner.full_idxs[subset.indices]
    # mixed-to-test draws rows: the order in which wilds has them is that of the table too
    assert np.array_equal(data.rows, rows)
    assert len(rows) > 3
    assert np.array_equal(data.labels, subset.y_array.numpy())
    fields = {name: subset.metadata_array[:, k].numpy() for k, name in enumerate(inner.metadata_fields)}
    names = region_names(inner)
    assert [data.regions[k] for k in data.domains] == [names[k] for k in fields["region"]]
    assert np.array_equal(data.extra["year"], 2002 + fields["year"])
    by_year = FMoW(root, split, protocol=protocol, domain_by="year")
    years = inner.metadata_map["year"]
    assert [by_year.regions[k] for k in by_year.domains] == [str(years[k]) for k in fields["year"]]
    table = inner.metadata.iloc[rows]
    untouched = data.mended != 1
    assert 0 < untouched.mean() <= 1
    wrapped = (table["lon"] + 180) % 360 - 180
    assert np.allclose(data.lonlat[untouched, 0], wrapped[untouched], atol=1e-12)
    assert np.array_equal(data.lonlat[:, 1], table["lat"])
    seconds = pd.to_datetime(table["timestamp"], format="ISO8601").map(pd.Timestamp.timestamp)
    assert np.allclose(data.extra["timestamp"], seconds, atol=1e-6)


def test_fmow_classes(opened):
    assert list(FMoW.classes) == list(opened("fmow").category_to_idx)
    assert len(FMoW.classes) == opened("fmow").n_classes


@pytest.mark.parametrize("split", SPLITS)
def test_iwildcam(root, opened, split):
    inner = opened("iwildcam")
    subset, data = inner.get_subset(split), IWildCam(root, split)
    assert np.array_equal(data.rows, subset.indices)
    assert np.array_equal(data.labels, subset.y_array.numpy())
    assert len(data.classes) == inner.n_classes
    fields = {name: subset.metadata_array[:, k].numpy() for k, name in enumerate(inner.metadata_fields)}
    assert np.array_equal(data.domains, fields["location"])
    assert np.array_equal(data.blocks, fields["sequence"])
    assert len(data.regions) == inner._n_groups
    taken = pd.to_datetime(data.extra["timestamp"], unit="s")
    for part in ("year", "month", "day", "hour", "minute", "second"):
        assert np.array_equal(getattr(taken, part), fields[part])
    assert np.array_equal(data.filenames, inner._input_array[subset.indices])


@pytest.mark.parametrize(("name", "reader"), [("fmow", FMoW), ("iwildcam", IWildCam)])
def test_pictures(root, opened, name, reader):
    subset, data = opened(name).get_subset("train"), reader(root, "train")
    for index in range(0, len(data), 25):
        want = np.asarray(subset[index][0].convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(data[index]["image"].numpy(), want)


# --- scores -------------------------------------------------------------------------------------


def guesses(data, seed):
    """Predictions that are right half of the time; classes that nothing has are guessed too."""
    rng = np.random.default_rng(seed)
    label, classes = data.labels, len(data.classes)
    guess = np.where(rng.random(len(label)) < 0.5, label, rng.integers(0, classes, len(label)))
    index, logits = np.arange(len(label)), np.eye(classes, dtype=np.float32)[guess]
    weights = np.zeros((0, len(label), 0), dtype=np.float32)
    return Predictions(index, data.lonlat, data.domains, data.blocks, label, logits, weights)


def both(name, data, seed=0):
    predictions = guesses(data, seed)
    options = {"uncounted": data.uncounted, "groupings": data.groupings(), "bootstrap": 0}
    ours = score(predictions, data.regions, data.held_out if name == "fmow-lao" else None, **options)
    return predictions, official_scores(name, data, {"erm": predictions}, {"erm": ours})


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("domain_by", ["region", "year"])
def test_fmow_scores_to_the_last_digit(root, opened, split, domain_by, seed):
    data = FMoW(root, split, domain_by=domain_by)
    predictions, found = both("fmow", data, seed)
    assert found.problem is None
    rows = {row.metric: row for row in found.rows}
    present = {f"acc_region:{REGIONS[k]}" for k in np.unique(data.extra["region"])}
    present |= {f"acc_year:{year}" for year in np.unique(data.extra["year"])}
    assert set(rows) == present | {"acc_avg", "acc_worst_region", "acc_worst_year"}
    subset = opened("fmow").get_subset(split)
    theirs, _ = subset.eval(torch.from_numpy(predictions.predicted), subset.y_array, subset.metadata_array)
    # Antarctica, in train alone: a counted region of its own in wilds, a part of Other here
    meant = {"acc_region:Other", "acc_worst_region"} if split == "train" else set()
    assert ("count_region:nan" in theirs and theirs["count_region:nan"] > 0) == (split == "train")
    for metric, row in rows.items():
        assert row.wilds == theirs[metric]
        assert metric in meant or np.float32(row.geomoe) == np.float32(theirs[metric]), metric
        assert metric in meant or row.equal


@pytest.mark.parametrize("split", ["test", "val", "held_out", "pooled"])
def test_fmow_lao_scores(root, split):
    data = FMoWLAO(root, split)
    _, found = both("fmow-lao", data)
    assert found.problem is None
    assert all(row.equal for row in found.rows)
    assert {"acc_avg", "acc_region:Asia", "acc_worst_region"} - {row.metric for row in found.rows} <= (
        {"acc_region:Asia"} if split == "val" else set()
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("split", SPLITS)
def test_iwildcam_scores_to_the_last_digit(root, opened, split, seed):
    data = IWildCam(root, split)
    predictions, found = both("iwildcam", data, seed)
    subset = opened("iwildcam").get_subset(split)
    theirs, _ = subset.eval(torch.from_numpy(predictions.predicted), subset.y_array, subset.metadata_array)
    rows = {row.metric: row for row in found.rows}
    assert set(rows) == {"acc_avg", "recall-macro_all", "F1-macro_all"} == set(theirs)
    for metric, row in rows.items():
        assert np.float32(row.geomoe) == np.float32(theirs[metric]) == np.float32(row.wilds)
        assert row.equal


def test_official_scores_are_those_of_the_predictions_given(root):
    data = IWildCam(root, "test")
    predictions, wrong = guesses(data, 0), guesses(data, 7)
    ours = score(wrong, data.regions, bootstrap=0)
    found = official_scores("iwildcam", data, {"erm": predictions}, {"erm": ours})
    assert not all(row.equal for row in found.rows)


def test_no_official_scores(root, monkeypatch, tmp_path):
    data = IWildCam(root, "test")
    predictions = guesses(data, 0)
    ours = score(predictions, data.regions, bootstrap=0)
    assert official_scores("bluemarble", data, {"erm": predictions}, {"erm": ours}) is None
    data.rows = data.rows + 1
    problem = official_scores("iwildcam", data, {"erm": predictions}, {"erm": ours}).problem
    assert "is another sample there" in problem
    data.folder = tmp_path
    problem = official_scores("iwildcam", data, {"erm": predictions}, {"erm": ours}).problem
    assert "metadata.csv" in problem
    monkeypatch.setattr(wilds_compat.importlib.util, "find_spec", lambda name: None)
    assert official_scores("iwildcam", data, {"erm": predictions}, {"erm": ours}) is None


def test_group_means_by_a_plain_loop():
    values, groups = torch.rand(50), torch.randint(0, 5, (50,)).where(torch.rand(50) < 0.9, 6)
    means, counts = wilds_compat.average_over_groups(values, groups, 8)
    for group in range(8):
        inside = values[groups == group].double()
        assert counts[group] == len(inside)
        assert means[group].item() == pytest.approx(inside.mean().item() if len(inside) else 0.0, rel=1e-6)


# --- from_wilds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_a_subset_of_iwildcam_is_our_data_set(root, opened, split):
    data, ours = from_wilds(opened("iwildcam").get_subset(split)), IWildCam(root, split)
    for name in ("rows", "labels", "domains", "blocks"):
        assert np.array_equal(getattr(data, name), getattr(ours, name))
    assert np.array_equal(data.lonlat, ours.lonlat, equal_nan=True)
    assert (data.classes, data.regions, data.split) == (ours.classes, ours.regions, split)


@pytest.mark.parametrize("split", SPLITS)
def test_a_subset_of_fmow_is_our_data_set(root, opened, split):
    data, ours = from_wilds(opened("fmow").get_subset(split)), FMoW(root, split)
    for name in ("rows", "labels", "blocks", "lonlat"):
        assert np.array_equal(getattr(data, name), getattr(ours, name))
    named = [data.regions[k].replace("nan", "Other") for k in data.domains]
    assert named == [ours.regions[k] for k in ours.domains]
    assert (data.classes, data.split) == (ours.classes, split)


def test_part_of_a_subset_and_the_whole(root, opened):
    torch.manual_seed(0)
    part = opened("fmow").get_subset("train", frac=0.3)
    data, ours = from_wilds(part), FMoW(root, "train")
    assert 0 < len(data) < len(ours)
    at = np.searchsorted(ours.rows, data.rows)
    assert np.array_equal(ours.rows[at], data.rows)
    assert np.array_equal(ours.lonlat[at], data.lonlat)
    assert torch.equal(data[3]["image"], ours[int(at[3])]["image"])
    whole = from_wilds(opened("fmow"))
    assert len(whole) == len(opened("fmow"))
    assert whole.split == "all"
    assert whole.data_hash != data.data_hash


def test_samples_batches_and_domains_of_a_subset(opened):
    subset = opened("iwildcam").get_subset("val", transform=lambda image: 1 / 0)  # ours alone is applied
    data = from_wilds(subset, image_size=20, domain_by="year", gps=None)
    batch = next(iter(DataLoader(data, batch_size=4, collate_fn=collate)))
    assert batch["image"].shape == (4, 3, 20, 20)
    assert 1 < batch["image"].max() <= 255
    years = subset.metadata_array[:4, opened("iwildcam").metadata_fields.index("year")]
    assert torch.equal(batch["domain"], years)
    assert data.regions[int(batch["domain"][0])] == f"year {int(years[0])}"
    assert np.isnan(data.lonlat).all()
    named = from_wilds(opened("fmow").get_subset("val"), domain_by="year")
    assert {named.regions[k] for k in named.domains} == {"2013", "2014", "2015"}


class Plain:
    """A data set of wilds as its base class describes one, without anything that is optional."""

    dataset_name, n_classes, metadata_map = "plain", 3, None
    metadata_fields = ("hospital", "y", "from_source_domain")
    split_dict = {"train": 0, "val": 1, "test": 2}  # noqa: RUF012
    split_array = np.array([0, 0, 1, 1])
    y_array = torch.tensor([0, 1, 2, 1])
    metadata_array = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 2, 0], [1, 1, 0]])
    inputs = (torch.arange(48.0).view(3, 4, 4),) * 3 + ("a text",)

    def __len__(self):
        return 4

    def get_input(self, index):
        return self.inputs[index]


def test_any_other_data_set_of_wilds():
    data = from_wilds(Plain())
    assert data.regions == ("hospital 0", "hospital 1", "hospital 2")
    assert data.domains.tolist() == [0, 1, 2, 1]
    assert data.classes == ("class 0", "class 1", "class 2")
    assert np.isnan(data.lonlat).all()
    assert torch.equal(data[1]["image"], Plain.inputs[0])
    with pytest.raises(DataError, match=r"wilds plain, sample 3: not a picture but str"):
        data[3]


@pytest.mark.parametrize(
    "change",
    [{"n_classes": None}, {"y_array": torch.rand(4)}, {"y_array": torch.zeros(4, 2, dtype=torch.int64)}],
    ids=["regression", "numbers", "several tasks"],
)
def test_other_kinds_of_labels(change):
    inner = type("Other", (Plain,), change)()
    with pytest.raises(InputError, match="wilds plain: expected one class for each sample"):
        from_wilds(inner)


def test_refusals(opened, root, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"domain_by: wilds fmow has region, year, y, .*got 'country'"):
        from_wilds(opened("fmow"), domain_by="country")
    with pytest.raises(DatasetNotFoundError, match=r"nowhere\.json"):
        from_wilds(opened("iwildcam"), gps="nowhere.json")
    with pytest.raises(ConfigError, match=r"wilds: expected one of fmow, iwildcam; got 'rxrx1'"):
        wilds_compat.open_wilds("rxrx1", root)
    with pytest.raises(FileNotFoundError):
        wilds_compat.open_wilds("iwildcam", tmp_path / "data" / "iwildcam_v2.0")
    assert not (tmp_path / "data").exists()  # wilds alone would have made it
    with pytest.raises(DataError, match=r"row \d+ is another sample there"):
        wilds_compat.official_rows(opened("fmow"), np.arange(3), np.zeros(3, dtype=np.int64) - 1)
    monkeypatch.setattr(wilds_compat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyNotFoundError, match=r'pip install "geomoe\[wilds\]"'):
        wilds_compat.import_wilds()


# --- importing ----------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.slow
def test_importing_wilds_leaves_the_process_as_it_was(root):
    """No thread, no variable, no lifted guard; and wilds' own door works for both data sets."""
    code = f"""
import os, sys, threading
from PIL import Image
limit, before = Image.MAX_IMAGE_PIXELS, dict(os.environ)
from geomoe.datasets.wilds import compat as wilds_compat, images as wilds_images
assert "wilds" not in sys.modules
started = []
start = threading.Thread.start
threading.Thread.start = lambda self: (started.append(self), start(self))
wilds = wilds_compat.import_wilds()
assert wilds is wilds_compat.import_wilds() is sys.modules["wilds"]
assert not started and threading.active_count() == 1
assert "outdated" not in sys.modules
assert dict(os.environ) == before
assert Image.MAX_IMAGE_PIXELS == limit
for name in ("fmow", "iwildcam"):
    data = wilds.get_dataset(name, root_dir={str(root)!r})
    some = data.get_subset("test")
    print(len(some), data.eval(some.y_array, some.y_array, some.metadata_array)[0]["acc_avg"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    assert [float(score) for _, score in lines] == [1.0, 1.0]
    assert [int(n) for n, _ in lines] == [len(FMoW(root, "test")), len(IWildCam(root, "test"))]
