"""The encoder fourier, and the resolution that every encoder states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geomoe.coords import HALF_TURN_KM, unit_vectors
from geomoe.encoders import FourierEncoder, create_encoder
from geomoe.encoders.satclip_weights import degrees_of
from geomoe.errors import ConfigError

EQUATOR = np.stack([np.linspace(-180, 180, 72_001)[:-1], np.zeros(72_000)], axis=1)


def numbers(encoder):
    """Wave number of each wave, from the vectors."""
    return np.linalg.norm(encoder.waves.numpy(), axis=0)


def test_features_by_plain_loops():
    encoder = FourierEncoder(100.0)
    lonlat = np.array([(13.4, 52.5), (-179.9, -80.0), (0.0, 90.0)])
    got = encoder.features(torch.from_numpy(lonlat)).double().numpy()
    for row, (lon, lat) in enumerate(np.radians(lonlat)):
        x = (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
        for wave in range(128):
            vector = encoder.waves[:, wave].tolist()
            k, phase = math.hypot(*vector), sum(a * b for a, b in zip(vector, x, strict=True))
            mean = math.sin(k) / k
            cosine = math.sqrt(0.5 + math.sin(2 * k) / (4 * k) - mean**2)
            sine = math.sqrt(0.5 - math.sin(2 * k) / (4 * k))
            assert got[row, wave] == pytest.approx((math.cos(phase) - mean) / cosine, abs=1e-6)
            assert got[row, 128 + wave] == pytest.approx(math.sin(phase) / sine, abs=1e-6)


@pytest.mark.parametrize("km", [20_015.0, 5000.0, 100.0, 2.0])
def test_waves_are_even_in_length_and_direction(km):
    encoder = FourierEncoder(km)
    highest = HALF_TURN_KM / km
    found = numbers(encoder)
    assert found.max() == pytest.approx(highest, rel=1e-12)
    lowest = max(highest / 32, 1.0)
    even = lowest + (highest - lowest) * np.arange(1, 129) / 128
    np.testing.assert_allclose(np.sort(found), even, rtol=1e-12)
    direction = encoder.waves.numpy() / found
    assert (direction[2] > 0).all()  # a wave and its mirror image have the same features
    assert np.abs(direction[:2].mean(axis=1)).max() < 0.02
    np.testing.assert_allclose((direction**2).mean(axis=1), 1 / 3, atol=0.01)


def half_waves(values):
    """How often each column changes its sign around the equator."""
    return (np.diff(np.sign(values), axis=0) != 0).sum(axis=0)


@pytest.mark.slow
def test_the_resolution_is_half_the_shortest_wave_on_the_ground():
    """Counted along great circles: no feature swings faster, and the fastest nearly does."""
    encoder = FourierEncoder(400.0)
    assert encoder.resolution_km == 400.0
    tilted = unit_vectors(EQUATOR) @ np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    places = np.degrees([np.arctan2(tilted[:, 1], tilted[:, 0]), np.arcsin(tilted[:, 2])]).T
    phase = unit_vectors(places) @ encoder.waves.numpy()
    fastest = np.abs(np.diff(phase, axis=0)).max(axis=0) / (2 * HALF_TURN_KM / len(places))  # radians a km
    assert math.pi / fastest.max() == pytest.approx(400, rel=0.03)
    assert (math.pi / fastest >= 400 * (1 - 1e-6)).all()


@pytest.mark.parametrize("polys", [2, 5, 10])
def test_the_resolution_of_harmonics_by_counting_waves(polys):
    encoder = create_encoder("sh", legendre_polys=polys)
    features = encoder.features(torch.from_numpy(EQUATOR[::20] + np.array([0.013, 0]))).numpy()
    most = half_waves(features).max()
    assert encoder.resolution_km == pytest.approx(2 * HALF_TURN_KM / most, rel=0.03)
    assert encoder.resolution_km == pytest.approx(20015.1 / (polys - 1), rel=1e-5)
    assert create_encoder("sh-siren", legendre_polys=polys).resolution_km == encoder.resolution_km


def test_other_encoders_state_theirs():
    assert create_encoder("sh", legendre_polys=1).resolution_km == math.inf
    for name in ("wrap", "cartesian3d"):
        encoder = create_encoder(name)
        most = half_waves(
            encoder.features(torch.from_numpy(EQUATOR + np.array([0.003, 0]))).numpy()[:, :2]
        ).max()
        assert encoder.resolution_km == pytest.approx(2 * HALF_TURN_KM / most, rel=0.01)
    assert create_encoder("domain", num_domains=2).resolution_km is None


def test_the_resolution_of_satclip_is_that_of_its_harmonics(make_satclip):
    path, _ = make_satclip(legendre_polys=6, capacity=32, embed_dim=16)
    assert create_encoder("satclip", weights=str(path)).resolution_km == pytest.approx(HALF_TURN_KM / 5)
    assert degrees_of(str(path)) == 6
    assert degrees_of("hf:SatCLIP-ViT16-L40") == 40
    assert degrees_of("hf:SatCLIP-ResNet18-L10") == 10
    assert degrees_of("hf:Another-L10") is None


@pytest.mark.slow
@pytest.mark.parametrize(("capsule", "sigma"), [(0, 1), (1, 16), (2, 256)])
def test_the_resolution_of_geoclip_is_that_of_its_frequencies(capsule, sigma):
    pytest.importorskip("geoclip")
    encoder = create_encoder("geoclip", capsules=(capsule,))
    frequencies = next(value for key, value in encoder.network.state_dict().items() if key.endswith(".b"))
    assert frequencies.std() == pytest.approx(sigma, rel=0.05)
    # areas are true on the map, so its unit is measured by the area of a tenth of a degree, squared
    lonlat = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1]], dtype=torch.float64)
    plane = encoder.network._project(lonlat[:, [1, 0]]).double()
    (ax, ay), (bx, by) = (plane[1] - plane[0]).tolist(), (plane[2] - plane[0]).tolist()
    unit = math.sqrt((HALF_TURN_KM / 1800) ** 2 / abs(ax * by - ay * bx))
    assert encoder.resolution_km == pytest.approx(unit / (4 * sigma), rel=1e-3)
    share = (math.pi / (2 * math.pi * frequencies.abs()) * unit >= encoder.resolution_km).double().mean()
    assert share == pytest.approx(0.954, abs=0.02)  # two standard deviations of a normal distribution


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "finest_km: the encoder fourier needs the km of the finest detail"),
        (0.0, "finest_km: expected km from 0.01 to 20,015; got 0.0"),
        (30_000.0, "got 30000.0"),
        (math.nan, "got nan"),
    ],
)
def test_refuses_other_lengths(value, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder("fourier", finest_km=value)
