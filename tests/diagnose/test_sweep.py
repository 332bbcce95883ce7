"""One pass over the images gives what the network gives sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import geomoe
from geomoe.datasets.base import Columns, LabelledImages
from geomoe.diagnose.sweep import experts_in, sweep
from geomoe.models.networks import classify
from geomoe.types import Place


class Images(LabelledImages):
    """30 random images; some have no place. It counts how often each is opened."""

    classes = ("a", "b")
    regions = ("x", "y")

    def __init__(self):
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 256, (30, 3, 32, 32)).astype(np.float32)
        lonlat = rng.uniform([-180, -90], [180, 90], (30, 2))
        lonlat[4] = np.nan
        numbers = np.arange(30)
        super().__init__(Columns(lonlat, numbers % 2, numbers % 2, numbers, numbers), split="val")
        self.opened = []

    def load_image(self, index):
        self.opened.append(index)
        return torch.from_numpy(self.pixels[index])


ROWS = np.array([1, 2, 4, 7, 8, 20, 29])


@pytest.fixture(scope="module")
def swept(checkpoints):
    """Three networks on seven samples, in batches of three; one of them at other places too."""
    data = Images()
    networks = [geomoe.load(checkpoints[name], device="cpu") for name in ("moge", "messi", "erm")]
    elsewhere = np.random.default_rng(1).uniform([-180, -90], [180, 90], (7, 2))
    elsewhere[2] = np.nan
    moves = [{"elsewhere": elsewhere, "dropped": np.full((7, 2), np.nan)}, {}, {}]
    found = sweep(networks, data, ROWS, moves, batch_size=3)
    return data, networks, moves[0], found


def test_each_image_is_read_once_for_all_networks(swept):
    data, _, _, found = swept
    assert data.opened == ROWS.tolist()
    assert [one.answers for one in found] == [10, 7, 1]  # 1 + 6 forced + shared + 2 places; 1 + 6; 1


def test_moge_is_asked_about_each_sample(swept):
    data, (predictor, *_), moves, (seen, *_) = swept
    assert seen.layers == tuple(f"block {number}" for number in predictor.blocks)
    for at, row in enumerate(ROWS):
        image, lonlat = data.pixels[row : row + 1], data.lonlat[row : row + 1]
        one = predictor.predict(image, lonlat)
        assert seen.predicted[at] == one.labels[0]
        place = Place.of(torch.from_numpy(lonlat))
        output = predictor.forward(torch.from_numpy(image), place, cka_tokens=0)
        assert seen.features[at] == pytest.approx(output.features[0].numpy(), abs=1e-5)
        for block in range(2):
            assert seen.weights[block, at] == pytest.approx(one.routings[block].weights[0].numpy(), abs=1e-6)
            mean = output.expert_outputs[block].mean(dim=1)  # the tokens of one sample
            assert seen.outputs[block, :, at] == pytest.approx(mean.numpy(), abs=1e-5)
            for expert in range(3):
                choice = tuple(expert if number == block else "all" for number in range(2))
                assert seen.forced[block, expert, at] == predictor.predict(image, lonlat, choice).labels[0]
        assert seen.shared[at] == predictor.predict(image, experts="shared").labels[0]
        for name, places in moves.items():
            moved = predictor.predict(image, places[at : at + 1])
            assert seen.moved[name].predicted[at] == moved.labels[0]
            top1 = [routing.weights.argmax().item() for routing in moved.routings]
            assert seen.moved[name].top1[:, at].tolist() == top1


def test_tokens_are_the_same_for_all_experts(swept):
    data, (predictor, *_), _, (seen, *_) = swept
    output = predictor.forward(
        torch.from_numpy(data.pixels[ROWS]), data.place.take(torch.from_numpy(ROWS)), cka_tokens=0
    )
    for block in range(2):
        whole = output.expert_outputs[block].unflatten(1, (7, -1))
        of = np.unique(np.linspace(0, whole.shape[2] - 1, 8).round().astype(int))
        assert seen.tokens[block] == pytest.approx(whole[:, :, of].flatten(1, 2).numpy(), abs=1e-5)


def test_head_experts_are_classified_alone(swept):
    data, (_, predictor, _), _, (_, seen, _) = swept
    assert (seen.layers, seen.shared, seen.moved) == (("head",), None, {})
    image = torch.from_numpy(data.pixels[ROWS])
    output = predictor.forward(image, data.place.take(torch.from_numpy(ROWS)), cka_tokens=0)
    assert seen.weights[0] == pytest.approx(output.routings[0].weights.numpy(), abs=1e-6)
    assert seen.outputs[0] == pytest.approx(output.expert_outputs[0].numpy(), abs=1e-5)
    assert seen.tokens[0] == pytest.approx(output.expert_outputs[0].numpy(), abs=1e-5)
    for expert in range(6):
        scores = classify(predictor.model.backbone, output.expert_outputs[0][expert])
        assert seen.forced[0, expert].tolist() == scores.argmax(dim=1).tolist()
    mixed = torch.einsum("be,ebd->bd", output.routings[0].weights, output.expert_outputs[0])
    assert seen.features == pytest.approx(mixed.numpy(), abs=1e-5)


def test_network_without_experts(swept):
    data, (*_, predictor), _, (*_, seen) = swept
    assert (seen.layers, seen.tokens, seen.shared) == ((), (), None)
    assert seen.weights.shape[:2] == (0, 7)
    assert seen.outputs.shape[:3] == (0, 0, 7)
    assert seen.predicted.tolist() == predictor.predict(data.pixels[ROWS]).labels.tolist()


def test_experts_are_known_before_the_sweep(swept):
    _, networks, _, found = swept
    assert [experts_in(one) for one in networks] == [
        (found[0].layers, 3),
        (("head",), 6),
        ((), 0),
    ]


def test_experts_without_a_shared_one(checkpoints, monkeypatch):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    (expected,) = sweep([predictor], Images(), ROWS, [{}])
    monkeypatch.setattr(type(predictor.model), "has_shared", False)
    (seen,) = sweep([predictor], Images(), ROWS, [{}])
    assert seen.shared is None
    assert seen.forced.tolist() == expected.forced.tolist()
    assert (expected.answers, seen.answers) == (8, 7)


@pytest.mark.slow
def test_class_token_stands_for_a_sample_where_there_is_one(write, tmp_path):
    file = write(
        tmp_path / "tiny.ckpt", backbone="vit_tiny_patch16_224", image_size=32, patch_size=8, moge_blocks=(3,)
    )
    predictor, data = geomoe.load(file, device="cpu"), Images()
    (seen,) = sweep([predictor], data, ROWS[:2], [{}])
    for at, row in enumerate(ROWS[:2]):
        place = data.place.take(torch.tensor([row]))
        output = predictor.forward(torch.from_numpy(data.pixels[row : row + 1]), place, cka_tokens=0)
        assert seen.outputs[0, :, at] == pytest.approx(output.expert_outputs[0][:, 0].numpy(), abs=1e-5)


@pytest.mark.slow
def test_spare_slots_are_not_forced(write, tmp_path):
    """DynMoE with 3 experts in 8 slots, and another one in slot 5 of the second block: 1 + 3 + 4 answers."""
    predictor = geomoe.load(write(tmp_path / "dynmoe.ckpt", "dynmoe"), device="cpu")
    predictor.model.banks()[1].router.alive[5] = True
    alive = np.array(predictor.model.alive)
    assert alive.sum(axis=1).tolist() == [3, 4]
    data = Images()
    (seen,) = sweep([predictor], data, ROWS, [{}], batch_size=3)
    assert seen.answers == 8
    assert seen.alive == predictor.model.alive
    assert (seen.forced[~alive] == -1).all()
    images = torch.stack([data.load_image(row) for row in ROWS])
    for block, slot in zip(*np.nonzero(alive), strict=True):
        choice = tuple(int(slot) if number == block else "all" for number in range(2))
        expected = predictor.forward(images, data.place.take(torch.from_numpy(ROWS)), experts=choice)
        assert seen.forced[block, slot].tolist() == expected.logits.argmax(dim=1).tolist()
