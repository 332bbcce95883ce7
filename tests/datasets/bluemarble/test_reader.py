"""The data set and its data module, as torchgeo, Lightning and bare loops use them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib import pyplot as plt
from torch.utils.data import DataLoader
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset, stack_samples

from geomoe.datasets import DATASETS, BlueMarble, BlueMarbleDataModule, EpochSampler
from geomoe.datasets.augment.pipeline import apply_symmetry, augment_images
from geomoe.datasets.collate import Samples, collate
from geomoe.errors import ConfigError
from geomoe.types import Batch


@pytest.fixture(scope="module")
def data():
    return BlueMarble(split="val")


def test_it_is_a_torchgeo_data_set(data):
    assert isinstance(data, NonGeoDataset)
    assert "BlueMarble" in str(data)
    sample = data[7]
    assert all(isinstance(value, torch.Tensor) for value in sample.values())
    assert {key: (value.dtype, tuple(value.shape)) for key, value in sample.items()} == {
        "image": (torch.float32, (3, 32, 32)),
        "label": (torch.int64, ()),
        "lon": (torch.float64, ()),
        "lat": (torch.float64, ()),
        "domain": (torch.int64, ()),
        "index": (torch.int64, ()),
    }
    assert 0 <= sample["image"].min() < sample["image"].max() <= 255
    assert sample["image"].max() > 1
    assert int(sample["index"]) == 7


def test_columns_agree_with_samples(data):
    assert len(data) == len(data.lonlat) == len(data.labels) == len(data.domains) == len(data.blocks)
    for i in (0, 5, len(data) - 1, -1):
        sample, row = data[i], i % len(data)
        assert (float(sample["lon"]), float(sample["lat"])) == tuple(data.lonlat[row])
        assert int(sample["label"]) == data.labels[row]
        assert int(sample["domain"]) == data.domains[row]
        assert int(sample["index"]) == row


def test_a_batch_read_at_once_is_the_samples_stacked(data):
    rows = [5, 3, 900, 3]
    whole = data.read(rows)
    for k, row in enumerate(rows):
        for key, value in data[row].items():
            assert torch.equal(whole[key][k], value)
    through_loader = next(iter(DataLoader(data, batch_size=4, sampler=rows, collate_fn=collate)))
    assert all(torch.equal(through_loader[key], whole[key]) for key in whole)


@pytest.mark.parametrize("collation", [None, stack_samples], ids=["torch", "torchgeo"])
@pytest.mark.parametrize("workers", [0, 1])
def test_loaders_that_know_nothing_of_it(data, collation, workers):
    rows = [5, 3, 900, 3]
    loader = DataLoader(data, batch_size=4, sampler=rows, collate_fn=collation, num_workers=workers)
    batch, whole = next(iter(loader)), data.read(rows)
    assert set(batch) == set(whole)
    assert all(torch.equal(batch[key], whole[key]) for key in whole)


def test_samples_are_a_sequence(data):
    samples = data.__getitems__([5, 3, 900])
    assert isinstance(samples, Samples)
    assert len(samples) == len(list(samples)) == 3
    assert [int(sample["index"]) for sample in samples[1:]] == [3, 900]
    assert int(samples[-1]["index"]) == 900
    with pytest.raises(IndexError, match="there are 3 samples; got 3"):
        samples[3]


def test_transforms_are_applied_alone_and_in_batches():
    data = BlueMarble(split="val", transforms=lambda sample: {**sample, "image": sample["image"] * 0 + 1})
    assert (data[0]["image"] == 1).all()
    assert (next(iter(DataLoader(data, batch_size=3, collate_fn=collate)))["image"] == 1).all()


def test_writing_into_a_sample_does_not_reach_the_data(data):
    before = data[0]["image"].clone()
    data[0]["image"].zero_()
    data.read([0])["lon"].zero_()
    assert torch.equal(data[0]["image"], before)
    assert float(data[0]["lon"]) == data.lonlat[0, 0]


@pytest.mark.parametrize("index", [10**6, -(10**6)])
def test_rows_that_are_not_there(data, index):
    with pytest.raises(IndexError, match=f"BlueMarble val has .* samples; got index {index}"):
        data[index]


def test_pickling_carries_no_pixels(data):
    packed = pickle.dumps(data)
    assert len(packed) < 1_000_000
    assert torch.equal(pickle.loads(packed)[3]["image"], data[3]["image"])


def test_held_out_region_is_in_neither_train_nor_val():
    asia = BlueMarble.regions.index("Asia")
    for split in ("train", "val"):
        assert asia not in BlueMarble(split=split, held_out="Asia").domains
        assert asia in BlueMarble(split=split).domains
    unseen = BlueMarble(split="held_out", held_out="Asia")
    assert set(unseen.domains) == {asia}
    np.testing.assert_array_equal(
        unseen.rows, [row for row, d in zip(*_test_rows(), strict=True) if d == asia]
    )
    with pytest.raises(ConfigError, match=r"no region 'Mars'.*Asia, Europe, Africa, Americas, Oceania"):
        BlueMarble(held_out="Mars")


def _test_rows():
    test = BlueMarble(split="test", held_out="Asia")
    return test.rows, test.domains


def test_plot(data):
    sample = data[0]
    figure = data.plot({**sample, "prediction": torch.tensor(2)}, suptitle="one")
    title = figure.axes[0].get_title()
    assert data.classes[int(sample["label"])] in title
    assert f"prediction: {data.classes[2]}" in title
    assert figure.get_suptitle() == "one"
    assert data.plot(sample, show_titles=False).axes[0].get_title() == ""
    plt.close("all")


def module(**options):
    return BlueMarbleDataModule(batch_size=64, **options)


def test_the_table_and_the_base_class():
    assert DATASETS["bluemarble"] is BlueMarbleDataModule
    assert issubclass(BlueMarbleDataModule, NonGeoDataModule)


def test_building_a_module_reads_nothing(monkeypatch):
    monkeypatch.setenv("GEOMOE_CACHE", "/nowhere/at/all")
    module()


def test_info_is_plain_and_complete():
    info = module(held_out="Africa", split_seed=2).info()
    assert info["classes"] == list(BlueMarble.classes)
    assert info["domains"] == list(BlueMarble.regions)
    assert (info["name"], info["bands"], info["held_out"], info["split_seed"]) == (
        "bluemarble",
        3,
        "Africa",
        2,
    )
    assert len(info["mean"]) == len(info["std"]) == 3
    assert all(type(value) is float for value in info["mean"] + info["std"])
    assert len(info["data_hash"]) == 64
    assert info["data_hash"] == module().info()["data_hash"]


def test_mean_and_std_are_those_of_the_whole_image():
    from geomoe.datasets.bluemarble.crops import read_image

    image = read_image()[::9, ::9].astype(np.float64)
    np.testing.assert_allclose(BlueMarbleDataModule.mean, image.mean((0, 1)), atol=0.5)
    np.testing.assert_allclose(BlueMarbleDataModule.std, image.std((0, 1)), atol=0.5)


def test_loaders():
    dm = module(held_out="Asia", seed=3)
    train, val, test = dm.train_dataloader(), dm.val_dataloader(), dm.test_dataloader()
    assert isinstance(train.sampler, EpochSampler)
    assert len(train) == len(dm.dataset("train")) // 64
    first = next(iter(train))
    assert torch.equal(first["index"], torch.tensor(list(train.sampler)[:64]))
    for loader, split in ((val, "val"), (test, "test")):
        rows = torch.cat([batch["index"] for batch in loader])
        assert torch.equal(rows, torch.arange(len(dm.dataset(split))))
    assert dm.dataset("held_out").held_out == "Asia"
    assert dm.dataset("test") is dm.dataset("test")


def test_a_batch_is_normalised_and_keeps_its_places():
    dm = module(augment="none")
    sample = next(iter(dm.train_dataloader()))
    batch = dm.to_batch(sample, train=True)
    assert isinstance(batch, Batch)
    back = batch.image * dm.std.view(1, 3, 1, 1) + dm.mean.view(1, 3, 1, 1)
    torch.testing.assert_close(back, sample["image"], atol=1e-3, rtol=0)
    assert batch.image.dtype == torch.float32
    assert batch.lonlat.dtype == torch.float64
    assert torch.equal(batch.lonlat, torch.stack([sample["lon"], sample["lat"]], 1))
    assert batch.place.known.all()
    assert torch.equal(batch.index, sample["index"])
    assert batch.place.features is None
    unknown = {**sample, "lon": sample["lon"] * torch.nan, "lat": sample["lat"] * torch.nan}
    assert not dm.to_batch(unknown).place.known.any()


def test_only_training_batches_are_augmented_and_the_seed_decides():
    dm = module()
    sample = next(iter(dm.train_dataloader()))
    plain = dm.to_batch(sample)
    torch.manual_seed(5)
    first = dm.to_batch(sample, train=True)
    again = dm.to_batch(sample, train=True)
    torch.manual_seed(5)
    repeated = dm.to_batch(sample, train=True)
    assert torch.equal(first.image, repeated.image)
    assert not torch.equal(first.image, again.image)
    assert not torch.equal(first.image, plain.image)
    assert torch.equal(first.lonlat, plain.lonlat)
    assert torch.equal(first.label, plain.label)


@pytest.mark.parametrize(("kind", "outcomes"), [("flips", 4), ("flips_rotations", 8)])
def test_every_symmetry_comes_equally_often(kind, outcomes):
    image = torch.arange(9.0).view(1, 1, 3, 3).repeat(4000, 1, 1, 1)
    turned = augment_images(image, kind)
    seen, counts = torch.unique(turned.flatten(1), dim=0, return_counts=True)
    assert len(seen) == outcomes
    assert (counts - 4000 / outcomes).abs().max() < 5 * (4000 / outcomes) ** 0.5
    square = image[0, 0]
    allowed = {
        tuple(torch.rot90(part, k).flatten().tolist()) for part in (square, square.flip(0)) for k in range(4)
    }
    assert {tuple(row.tolist()) for row in seen} <= allowed


def test_each_image_gets_its_own_symmetry():
    image = torch.rand(16, 3, 8, 8)
    codes = torch.arange(16) % 8
    turned = apply_symmetry(image, codes)
    for before, after, code in zip(image, turned, codes.tolist(), strict=True):
        expected = before.flip(-1) if code & 1 else before
        expected = expected.flip(-2) if code & 2 else expected
        expected = expected.transpose(-1, -2) if code & 4 else expected
        assert torch.equal(after, expected)


def test_flips_work_on_images_that_are_not_square():
    assert augment_images(torch.rand(8, 3, 4, 6), "flips").shape == (8, 3, 4, 6)


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ConfigError, match=r"expected one of none, flips, flips_rotations, .*; got 'blur'"):
        module(augment="blur")


class Watch(LightningModule):
    """Keeps what the trainer hands out."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = {"train": [], "val": [], "test": []}

    def training_step(self, batch):
        self.seen["train"].append(batch)
        return self.weight * batch.image.mean()

    def validation_step(self, batch):
        self.seen["val"].append(batch)

    def test_step(self, batch):
        self.seen["test"].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_hands_out_batches_and_new_orders(tmp_path):
    dm, watch = module(seed=1), Watch()
    trainer = Trainer(
        max_epochs=2, limit_train_batches=2, limit_val_batches=1, limit_test_batches=1, accelerator="cpu",
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(watch, datamodule=dm)
    trainer.test(watch, datamodule=dm, verbose=False)
    assert all(isinstance(batch, Batch) for batches in watch.seen.values() for batch in batches)
    sampler = EpochSampler(len(dm.dataset("train")), 1, 64)
    expected = torch.cat([sampler.order(0)[:128], sampler.order(1)[:128]])
    assert torch.equal(torch.cat([batch.index for batch in watch.seen["train"]]), expected)
    kept = watch.seen["test"][0]
    plain = dm.to_batch(dm.dataset("test").read(kept.index.tolist()))
    assert torch.equal(kept.image, plain.image)
    raw = dm.to_batch(dm.dataset("train").read(watch.seen["train"][0].index.tolist()))
    assert not torch.equal(watch.seen["train"][0].image, raw.image)
    assert dm.plot(dm.dataset("val")[0]) is not None
    plt.close("all")
