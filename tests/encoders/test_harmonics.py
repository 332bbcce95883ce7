"""Spherical harmonics against exact arithmetic, scipy, quadrature and finite differences."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
import torch

from geomoe.encoders import SphericalHarmonics
from geomoe.encoders.harmonics import CONVENTIONS
from geomoe.errors import ConfigError, CoordinateError

AWKWARD = ((0, 90), (77, -90), (180, 10), (-180, 10), (0, 0), (12, 89.99), (5, -89.999), (-123.4, 61.7))


@lru_cache
def exact(degrees, lonlat):
    """Orthonormal real harmonics, no Condon-Shortley phase, from Rodrigues' sum with 60 digits."""
    mpmath = pytest.importorskip("mpmath")
    out = np.zeros((len(lonlat), degrees**2))
    with mpmath.workdps(60):
        for row, (lon, lat) in enumerate(lonlat):
            azimuth, height = (mpmath.mpf(float(angle)) * mpmath.pi / 180 for angle in (lon, lat))
            z, radius = mpmath.sin(height), mpmath.cos(height)
            for n in range(degrees):
                # P_n = 2^-n sum_k (-1)^k C(n, k) C(2n - 2k, n) z^(n - 2k), highest power first
                poly = [0] * (n + 1)
                for k in range(n // 2 + 1):
                    poly[2 * k] = (-1) ** k * math.comb(n, k) * math.comb(2 * n - 2 * k, n)
                for m in range(n + 1):
                    legendre = mpmath.polyval(poly, z) / mpmath.mpf(2) ** n * radius**m
                    size = (
                        mpmath.mpf(2 * n + 1)
                        / (4 * mpmath.pi)
                        * math.factorial(n - m)
                        / math.factorial(n + m)
                    )
                    value = mpmath.sqrt(size * (1 if m == 0 else 2)) * legendre
                    out[row, n * n + n + m] = value * mpmath.cos(m * azimuth)
                    if m:
                        out[row, n * n + n - m] = value * mpmath.sin(m * azimuth)
                    poly = [c * p for c, p in zip(poly[:-1], range(n - m, 0, -1), strict=True)] or [0]
    return out


def factors(degrees, convention):
    """Sign and scale that turn the orthonormal harmonics into a convention's, feature by feature."""
    if convention == "orthonormal":
        return np.ones(degrees**2)
    rows = []
    for n in range(degrees):
        for m in range(-n, n + 1):
            if convention == "satclip":
                rows.append((-1.0) ** n * (math.pi if m == 0 else 1))
            else:
                rows.append((-1.0) ** (n + m))
    return np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_equals_exact_arithmetic_at_every_degree_to_40(convention):
    truth = exact(40, AWKWARD) * factors(40, convention)
    places = torch.tensor(AWKWARD, dtype=torch.float64)
    harmonics = SphericalHarmonics(40, convention)
    assert np.abs(harmonics(places).numpy() - truth).max() <= 1e-12
    single = harmonics(places.float())
    assert single.dtype == torch.float32
    # float32 moves 89.99 degrees by up to 4e-6: compare at the place that was given
    truth = exact(40, tuple(map(tuple, places.float().double().tolist()))) * factors(40, convention)
    assert np.abs(single.double().numpy() - truth).max() <= 2e-6


@pytest.mark.parametrize("degrees", [1, 2, 3, 100, 130])
def test_equals_scipy_at_any_degree(degrees, places):
    special = pytest.importorskip("scipy.special")
    lon, lat = np.radians(places.numpy()).T
    ours = SphericalHarmonics(degrees, "orthonormal")(places).numpy()
    assert ours.shape == (len(places), degrees**2)
    assert np.isfinite(SphericalHarmonics(degrees)(places.float()).numpy()).all()
    for n in sorted({0, 1, 2, degrees // 2, degrees - 1} & set(range(degrees))):
        for m in range(n + 1):
            value = (-1) ** m * special.sph_harm_y(n, m, np.pi / 2 - lat, lon) * (1 if m == 0 else np.sqrt(2))
            np.testing.assert_allclose(ours[:, n * n + n + m], value.real, atol=1e-11)
            if m:
                np.testing.assert_allclose(ours[:, n * n + n - m], value.imag, atol=1e-11)


def test_first_degrees_by_hand():
    """Y_00 = sqrt(1/4pi), Y_1 = sqrt(3/4pi) (y, z, x); SatCLIP: Y_00 = 0.886, degree 1 negated."""
    x, y, z = 0.5, math.sqrt(3) / 4, 0.75
    place = torch.tensor([[math.degrees(math.atan2(y, x)), math.degrees(math.asin(z))]], dtype=torch.float64)
    unit = math.sqrt(3 / (4 * math.pi))
    plain = [math.sqrt(1 / (4 * math.pi)), unit * y, unit * z, unit * x]
    np.testing.assert_allclose(SphericalHarmonics(2, "orthonormal")(place)[0], plain, atol=1e-15)
    satclip = [math.pi * plain[0], -plain[1], -math.pi * plain[2], -plain[3]]
    np.testing.assert_allclose(SphericalHarmonics(2)(place)[0], satclip, atol=1e-15)
    assert satclip[0] == pytest.approx(0.886226925)


def test_orthonormal_under_exact_quadrature():
    degrees = 12
    nodes, weights = np.polynomial.legendre.leggauss(degrees)
    lon = np.arange(2 * degrees) * 180 / degrees - 180
    grid = np.stack(np.meshgrid(lon, np.degrees(np.arcsin(nodes))), axis=-1).reshape(-1, 2)
    area = np.repeat(weights * math.pi / degrees, len(lon))
    values = SphericalHarmonics(degrees, "orthonormal")(torch.from_numpy(grid)).numpy()
    np.testing.assert_allclose(values.T @ (area[:, None] * values), np.eye(degrees**2), atol=1e-12)


def test_addition_theorem_at_high_degree(places):
    """sum_m Y_lm^2 = (2l + 1) / 4pi everywhere, poles included."""
    values = SphericalHarmonics(101, "orthonormal")(places)
    for n in (0, 7, 50, 100):
        total = values[:, n * n : (n + 1) ** 2].square().sum(dim=1)
        torch.testing.assert_close(
            total, torch.full_like(total, (2 * n + 1) / (4 * math.pi)), rtol=1e-11, atol=0
        )


def test_poles_and_antimeridian_are_ordinary_places():
    harmonics = SphericalHarmonics(40)
    pole = harmonics(torch.tensor([[0.0, 90.0], [123.4, 90.0], [-180.0, 90.0]], dtype=torch.float64))
    assert torch.equal(pole[0], pole[1])
    assert torch.equal(pole[0], pole[2])
    line = harmonics(torch.tensor([[180.0, 33.0], [-180.0, 33.0], [540.0, 33.0]], dtype=torch.float64))
    assert torch.equal(line[0], line[1])
    assert torch.equal(line[0], line[2])


def test_chunks_do_not_show():
    for dtype in (torch.float64, torch.float32):
        places = torch.rand(5000, 2, dtype=dtype) * 170 - 85
        values = SphericalHarmonics(4)(places)
        for edge in (1024, 4096, 4990):
            near = slice(edge - 10, edge + 10)
            assert torch.equal(values[near], SphericalHarmonics(4)(places[near]))
        assert SphericalHarmonics(4)(places[:0]).shape == (0, 16)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_differentiable_path_has_the_same_values(convention, places):
    for degrees in (1, 2, 3, 20):
        harmonics = SphericalHarmonics(degrees, convention)
        tracked = places.clone().requires_grad_(True)
        values = harmonics(tracked)
        assert values.requires_grad
        torch.testing.assert_close(values.detach(), harmonics(places), rtol=0, atol=1e-13)
        with torch.no_grad():
            assert not harmonics(tracked).requires_grad


@pytest.mark.slow
def test_gradients_equal_finite_differences_also_at_poles():
    places = torch.tensor([[10.0, 20.0], [-170.0, -65.0], [33.0, 90.0], [5.0, -90.0], [180.0, 0.0]])
    places = places.double().requires_grad_(True)
    assert torch.autograd.gradcheck(SphericalHarmonics(6), (places,), atol=1e-6)
    assert torch.autograd.gradgradcheck(SphericalHarmonics(4), (places[:2].detach().requires_grad_(True),))
    gradient = torch.autograd.grad(SphericalHarmonics(60)(places).square().sum(), places)[0]
    assert gradient.isfinite().all()


def test_longitude_derivative_in_closed_form(places):
    """d Y_{l,m} / d lon = -m Y_{l,-m}."""
    degrees = 15
    tracked = places.clone().requires_grad_(True)
    weight = torch.randn(len(places), degrees**2, dtype=torch.float64)
    values = SphericalHarmonics(degrees, "orthonormal")(tracked)
    (gradient,) = torch.autograd.grad((values * weight).sum(), tracked)
    order = torch.cat([torch.arange(-n, n + 1) for n in range(degrees)])
    mirror = torch.cat([torch.arange(-n, n + 1).flip(0) + n * n + n for n in range(degrees)])
    expected = -(weight * order * values.detach()[:, mirror]).sum(dim=1) * math.pi / 180
    torch.testing.assert_close(gradient[:, 0], expected, rtol=1e-10, atol=1e-10)


def test_usable_in_training_after_inference_mode():
    """Cached constants that were first made under inference mode still serve a backward."""
    places = torch.rand(3, 2, dtype=torch.float64)
    with torch.inference_mode():
        SphericalHarmonics(9)(places)
    places.requires_grad_(True)
    SphericalHarmonics(9)(places).sum().backward()
    assert places.grad is not None
    assert SphericalHarmonics(9).state_dict() == {}


def test_unknown_place_stays_unknown():
    values = SphericalHarmonics(3)(torch.tensor([[float("nan"), float("nan")], [1.0, 2.0]]))
    assert values[0, 1:].isnan().all()
    assert values[1].isfinite().all()


@pytest.mark.parametrize("calculation", ["analytic", "closed-form"])
def test_equals_microsofts_formulas_where_they_are_accurate(calculation):
    package = "rangegeo.satclip.positional_encoding.spherical_harmonics"
    peer = pytest.importorskip(package, reason="rangegeo (Python 3.12) carries Microsoft's formulas")
    places = torch.rand(100, 2, dtype=torch.float64) * 170 - 85
    convention = {"analytic": "satclip", "closed-form": "satclip-closed-form"}[calculation]
    theirs = peer.SphericalHarmonics(10, calculation)(places)
    torch.testing.assert_close(SphericalHarmonics(10, convention)(places), theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: SphericalHarmonics(0),
            ConfigError,
            "legendre_polys: expected a positive whole number; got 0",
        ),
        (lambda: SphericalHarmonics(2.5), ConfigError, "got 2.5"),
        (lambda: SphericalHarmonics(True), ConfigError, "got True"),
        (lambda: SphericalHarmonics(3, "standard"), ConfigError, "expected one of satclip, .*got 'standard'"),
        (
            lambda: SphericalHarmonics(3)(torch.zeros(4)),
            CoordinateError,
            r"expected float32 or float64 \(N, 2\).*\(4,\)",
        ),
        (lambda: SphericalHarmonics(3)(torch.zeros(4, 3)), CoordinateError, r"got \(4, 3\)"),
        (lambda: SphericalHarmonics(3)(torch.zeros(4, 2, dtype=torch.int64)), CoordinateError, "int64"),
        (lambda: SphericalHarmonics(3)(torch.zeros(4, 2).bfloat16()), CoordinateError, "bfloat16"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()
