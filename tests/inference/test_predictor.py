"""The predictor gives what the bare network gives on normalised input, and refuses what it cannot use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import geomoe
from geomoe.errors import CheckpointError, ConfigError, CoordinateError, InputError

LONLAT = np.array([[77.2, 28.6], [-122.4, 37.8], [np.nan, np.nan], [181.0, -60.0]])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (4, 3, 32, 32)).astype(np.uint8)


@pytest.mark.parametrize("name", ["erm", "erm_le", "moge"])
def test_predict_is_the_bare_network_on_normalised_images(checkpoints, images, name):
    predictor = geomoe.load(checkpoints[name], device="cpu")
    found = predictor.predict(images, LONLAT)
    mean, std = (np.array(v).reshape(1, 3, 1, 1) for v in ([100.0, 110, 90], [50.0, 40, 60]))
    normal = torch.from_numpy(((images - mean) / std).astype(np.float32))
    places = LONLAT.copy()
    places[3, 0] -= 360
    with torch.no_grad():
        output = predictor.model(normal, torch.from_numpy(places))
    expected = torch.exp(output.logits.double())
    expected = expected / expected.sum(dim=1, keepdim=True)
    torch.testing.assert_close(found.probabilities.double(), expected, rtol=0, atol=1e-6)
    assert found.labels.tolist() == output.logits.argmax(dim=1).tolist()
    assert found.names == [["forest", "desert", "sea", "ice"][label] for label in found.labels]
    assert len(found.routings) == (2 if name == "moge" else 0)
    for one, other in zip(found.routings, output.routings, strict=True):
        torch.testing.assert_close(one.weights, other.weights)


def test_no_places_at_all_means_unknown_places(checkpoints, images):
    for name in ("erm_le", "moge"):
        predictor = geomoe.load(checkpoints[name], device="cpu")
        unknown = predictor.predict(images, np.full((4, 2), np.nan))
        torch.testing.assert_close(predictor.predict(images).probabilities, unknown.probabilities)
        assert not torch.allclose(
            unknown.probabilities[0], predictor.predict(images, LONLAT).probabilities[0]
        )


def test_input_types_do_not_matter(checkpoints, images):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    expected = predictor.predict(images, LONLAT).probabilities
    flipped = images[:, ::-1, ::-1].copy()[:, ::-1, ::-1]  # a view, as images of other libraries often are
    arrays = (images.astype(np.float64), images.astype(np.uint16), images.astype(">i2"), flipped)
    for image in (*arrays, images.tolist(), torch.from_numpy(images), torch.from_numpy(images).float()):
        for lonlat in (LONLAT.tolist(), torch.from_numpy(LONLAT)):
            torch.testing.assert_close(predictor.predict(image, lonlat).probabilities, expected)


def test_shared_expert_is_the_plain_backbone(checkpoints, images):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    found = predictor.predict(images, LONLAT, experts="shared").probabilities
    backbone = predictor.model.remove()
    with torch.no_grad():
        plain = backbone(predictor.normalise(torch.from_numpy(images))).softmax(dim=1)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-6)


def test_forced_experts_differ(checkpoints, images):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    forced = [predictor.predict(images, LONLAT, experts=k).probabilities for k in range(5)]
    for one in range(5):
        for other in range(one):
            assert not torch.allclose(forced[one], forced[other])


def test_evaluation_mode_and_no_gradients(checkpoints, images):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    assert not any(module.training for module in predictor.model.modules())
    first, second = (predictor.predict(images, LONLAT).probabilities for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad


def test_facts(checkpoints):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    assert predictor.classes == ["forest", "desert", "sea", "ice"]
    assert predictor.domains == ["Asia", "Europe", "Africa"]
    assert (predictor.num_experts, predictor.blocks) == (5, (2, 3))
    assert predictor.encoder is predictor.model.encoder
    plain = geomoe.load(checkpoints["erm"], device="cpu")
    assert (plain.num_experts, plain.blocks, plain.encoder) == (0, (), None)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": np.zeros((3, 32, 32))}, InputError, r"expected shape \(B, 3, 32, 32\).*\(3, 32, 32\)"),
        ({"image": np.zeros((4, 4, 32, 32))}, InputError, r"expected shape \(B, 3, 32, 32\)"),
        ({"image": np.zeros((4, 3, 64, 64))}, InputError, r"expected shape \(B, 3, 32, 32\)"),
        ({"image": np.full((4, 3, 32, 32), np.nan)}, InputError, "finite"),
        ({"image": np.zeros((4, 3, 32, 32), dtype=complex)}, InputError, "complex"),
        ({"image": np.full((4, 3, 32, 32), "7")}, InputError, "image: expected an array of numbers"),
        ({"image": [[1, 2], [3]]}, InputError, "image: expected an array of numbers"),
        ({"lonlat": LONLAT[:3]}, CoordinateError, "each of the 4 images; got 3"),
        ({"lonlat": [[0, 91], [0, 0], [0, 0], [0, 0]]}, CoordinateError, "latitude beyond 90"),
        ({"lonlat": [[0, np.nan], [0, 0], [0, 0], [0, 0]]}, CoordinateError, "exactly one"),
        ({"lonlat": [77.2, 28.6]}, CoordinateError, r"\(N, 2\)"),
        ({"lonlat": torch.ones(4, 2, dtype=torch.bool)}, CoordinateError, "expected numbers.*got bool"),
        ({"lonlat": torch.ones(4, 2) + 0j}, CoordinateError, "expected numbers.*got complex64"),
        ({"experts": 5}, ConfigError, "experts 0 to 4; got 5"),
        ({"experts": -1}, ConfigError, "experts 0 to 4; got -1"),
        ({"experts": True}, ConfigError, "'all', 'shared' or the number"),
        ({"experts": "most"}, ConfigError, "'all', 'shared' or the number"),
        ({"domain": [0, 1]}, InputError, "expected 4 integer ids"),
        ({"domain": [0.0, 1, 2, 0]}, InputError, "expected 4 integer ids"),
        ({"domain": ["Asia"] * 4}, InputError, "domain: expected an array of numbers"),
        ({"domain": [True] * 4}, InputError, "expected 4 integer ids; got torch.bool"),
        ({"domain": np.array([0, 1, 2, 3], dtype=np.uint16)}, InputError, r"-1 \(unknown\) to 2"),
        ({"domain": [0, 1, 2, 3]}, InputError, r"-1 \(unknown\) to 2"),
    ],
)  # fmt: skip
def test_refusals(checkpoints, images, change, error, message):
    predictor = geomoe.load(checkpoints["moge"], device="cpu")
    arguments = {"image": images, "lonlat": LONLAT, **change}
    with pytest.raises(error, match=message):
        predictor.predict(**arguments)


@pytest.mark.parametrize("experts", ["shared", 0])
@pytest.mark.parametrize("name", ["erm", "erm_le", "messi_ot"])
def test_a_network_without_experts_refuses_to_choose(checkpoints, images, name, experts):
    predictor = geomoe.load(checkpoints[name], device="cpu")
    with pytest.raises(ConfigError, match=f"{name} has no experts of places; use experts='all'"):
        predictor.predict(images, LONLAT, experts=experts)


def test_load_refuses_wrong_devices_and_files(checkpoints, tmp_path):
    with pytest.raises(ConfigError, match="device: cannot use None here"):
        geomoe.load(checkpoints["erm"], None)
    with pytest.raises(ConfigError, match="cannot use 'warp9'"):
        geomoe.load(checkpoints["erm"], device="warp9")
    with pytest.raises(CheckpointError, match="nowhere"):
        geomoe.load(tmp_path / "nowhere.ckpt")


def test_load_refuses_the_weights_of_another_network(checkpoints, tmp_path):
    content = torch.load(checkpoints["erm"], weights_only=True)
    content["state_dict"].popitem()
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="another model or class count"):
        geomoe.load(tmp_path / "other.ckpt")
