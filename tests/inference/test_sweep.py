"""A sweep over a data set gives what the predictor gives image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import geomoe
from geomoe.errors import ConfigError, CoordinateError, InputError
from geomoe.inference import predict_dataset, predict_many
from geomoe.types import Place


class Samples(Dataset):
    """50 random samples as dictionaries; two have no place, some no region."""

    def __init__(self, count: int = 50) -> None:
        draw = np.random.default_rng(5)
        self.image = draw.integers(0, 256, (count, 3, 32, 32)).astype(np.float32)
        self.lonlat = np.stack([draw.uniform(-180, 180, count), draw.uniform(-90, 90, count)], axis=1)
        self.lonlat[3:5] = np.nan
        self.labels = draw.integers(0, 4, count)
        self.domains = draw.integers(-1, 3, count)
        self.reads = 0

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, row):
        self.reads += 1
        return {"image": torch.from_numpy(self.image[row]), "label": torch.tensor(int(self.labels[row]))}


class FastSamples(Samples):
    """The same, read a batch at a time, with blocks."""

    blocks = np.arange(50) // 7

    def __getitems__(self, rows):
        return {"image": torch.from_numpy(self.image[np.asarray(rows)])}


@pytest.mark.parametrize("name", ["erm", "erm_le", "moge"])
@pytest.mark.parametrize("kind", [Samples, FastSamples])
def test_sweep_is_predict_sample_by_sample(checkpoints, name, kind):
    predictor, data = geomoe.load(checkpoints[name], device="cpu"), kind()
    found = predict_dataset(predictor, data, batch_size=16)
    for row in range(len(data)):
        one = predictor.predict(data.image[row : row + 1], data.lonlat[row : row + 1])
        assert found.probabilities[row] == pytest.approx(one.probabilities[0].numpy(), abs=1e-5)
        for block, routing in enumerate(one.routings):
            assert found.weights[block, row] == pytest.approx(routing.weights[0].numpy(), abs=1e-5)
    assert found.weights.shape == ((2, 50, 5) if name == "moge" else (0, 50, 0))
    assert np.array_equal(found.label, data.labels)
    assert np.array_equal(found.domain, data.domains)
    assert np.array_equal(found.lonlat, data.lonlat, equal_nan=True)
    assert np.array_equal(found.block, getattr(data, "blocks", np.arange(50)))
    assert np.array_equal(found.correct, found.logits.argmax(axis=1) == data.labels)
    assert len(found) == 50


def test_many_choices_read_each_image_once(checkpoints):
    predictor, data = geomoe.load(checkpoints["moge"], device="cpu"), Samples()
    choices = ["all", "shared", 0, 1, 2, 3, 4]
    found = predict_many(predictor, data, choices, batch_size=16)
    assert data.reads == 50
    assert list(found) == choices
    for choice in choices:
        alone = predict_dataset(predictor, data, experts=choice, batch_size=50)
        assert found[choice].logits == pytest.approx(alone.logits, abs=1e-5)


def test_location_features_are_computed_once(checkpoints, monkeypatch):
    predictor, data = geomoe.load(checkpoints["moge"], device="cpu"), Samples()
    rows = []
    features = predictor.encoder.features

    def counted(lonlat, domain=None):
        rows.append(len(lonlat))
        return features(lonlat, domain)

    monkeypatch.setattr(predictor.encoder, "features", counted)
    predict_many(predictor, data, ["all", "shared", 1], batch_size=16)
    assert rows == [50]


def test_top1_is_the_largest_gate(checkpoints):
    found = predict_dataset(geomoe.load(checkpoints["moge"], device="cpu"), Samples())
    for block in range(2):
        for row in range(50):
            weights = found.weights[block, row].tolist()
            assert found.top1[block, row] == weights.index(max(weights))
            assert sum(weight > 0 for weight in weights) == 2
            assert sum(weights) == pytest.approx(1)


def test_refusals(checkpoints):
    predictor = geomoe.load(checkpoints["erm"], device="cpu")
    with pytest.raises(ConfigError, match="erm has no experts of places"):
        predict_dataset(predictor, Samples(), experts="shared")
    with pytest.raises(InputError, match="no samples"):
        predict_dataset(predictor, Samples(0))
    nameless = Samples()
    del nameless.labels
    with pytest.raises(InputError, match="Samples: has no labels"):
        predict_dataset(predictor, nameless)
    lost = Samples()
    lost.lonlat[0] = [0, 100]
    with pytest.raises(CoordinateError, match=r"Samples\.lonlat: latitude beyond 90"):
        predict_dataset(predictor, lost)
    short = Samples()
    short.domains = short.domains[:49]
    with pytest.raises(
        InputError, match=r"Samples\.domains: expected a row for each of the 50 samples; got 49"
    ):
        predict_dataset(predictor, short)


class Splits:
    """A data module that is not geomoe's."""

    def dataset(self, split):
        return {"val": Samples(7)}[split]


def test_a_split_of_anybodys_data_module(checkpoints):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    found = predict_dataset(predictor, Splits(), "val")
    assert np.array_equal(found.logits, predict_dataset(predictor, Samples(7)).logits)
    with pytest.raises(InputError, match="split: Splits has several; choose"):
        predict_dataset(predictor, Splits())
    with pytest.raises(InputError, match="split: Samples is one split already; leave it out, got 'val'"):
        predict_dataset(predictor, Samples(), "val")


def test_places_with_features_are_the_encoders(checkpoints):
    predictor, data = geomoe.load(checkpoints["moge"], device="cpu"), Samples()
    place = Place.of(torch.from_numpy(data.lonlat), torch.from_numpy(data.domains))
    told = predictor.with_features(place)
    assert torch.equal(told.features, predictor.encoder.features(place.lonlat))
    assert torch.equal(told.domain, place.domain)
    assert geomoe.load(checkpoints["erm"], device="cpu").with_features(place).features is None
