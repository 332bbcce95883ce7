"""One contract for every encoder of the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geomoe.coords import make_grid
from geomoe.encoders import ENCODERS, LocationEncoder, create_encoder
from geomoe.errors import ConfigError, CoordinateError
from geomoe.types import Place

OF_PLACES = [name for name in ENCODERS if name != "domain"]
# GeoCLIP's projection cuts the Earth at the antimeridian.
ROUND = [name for name in OF_PLACES if name != "geoclip"]
PRETRAINED = ["satclip", "geoclip"]


@pytest.fixture
def make(make_satclip):
    """Make an encoder of the table, small, with what it needs."""

    def build(name, **options):
        if name == "geoclip":
            pytest.importorskip("geoclip")
        if name == "satclip" and "architecture" not in options:
            path, _ = make_satclip(legendre_polys=6, capacity=32, embed_dim=16)
            options["weights"] = str(path)
        if name == "domain":
            options.setdefault("num_domains", 5)
        if name == "fourier":
            options.setdefault("finest_km", 3000.0)
        return create_encoder(name, **{"out_dim": 24, "hidden_dim": 32, "legendre_polys": 6, **options})

    return build


def domains(places):
    return torch.arange(len(places)) % 5


@pytest.mark.parametrize("name", ENCODERS)
class TestContract:
    def test_shapes_dtypes_and_determinism(self, make, places, name):
        encoder = make(name).eval()
        assert isinstance(encoder, LocationEncoder)
        assert encoder.frozen_features
        features = encoder.features(places, domains(places))
        assert features.shape == (len(places), encoder.feature_dim)
        assert features.dtype == torch.float32
        assert features.is_contiguous()
        assert not features.requires_grad
        embedding = encoder(places, domain=domains(places))
        assert embedding.shape == (len(places), encoder.out_dim) == (len(places), 24)
        assert embedding.dtype == torch.float32
        assert torch.equal(embedding, encoder.embed(features))
        assert torch.equal(embedding, encoder(places, domain=domains(places)))
        # a batch changes nothing but the last bits, and may be empty
        torch.testing.assert_close(encoder(places[3:4], domain=domains(places)[3:4])[0], embedding[3])
        assert encoder(places[:0], domain=domains(places)[:0]).shape == (0, 24)

    def test_table_is_made_in_parts(self, make, places, name, monkeypatch):
        encoder = make(name).eval()
        whole = encoder.features(places, domains(places))
        monkeypatch.setattr("geomoe.encoders.base.GRID_CELLS", 3)
        table = encoder.feature_table(Place.of(places, domains(places)))
        torch.testing.assert_close(table, whole)
        unknown = encoder.features(places, torch.full((len(places),), -1))
        torch.testing.assert_close(encoder.feature_table(places), unknown)

    def test_same_seed_same_encoder(self, make, places, name):
        torch.manual_seed(3)
        first = make(name).eval()
        torch.manual_seed(3)
        second = make(name).eval()
        assert torch.equal(first(places, domain=domains(places)), second(places, domain=domains(places)))

    def test_input_is_not_changed(self, make, places, name):
        before = places.clone()
        make(name)(places, domain=domains(places))
        assert torch.equal(places, before)

    def test_unknown_is_learned_and_is_not_null_island(self, make, name):
        encoder = make(name).eval()
        lonlat = torch.tensor([[math.nan, math.nan], [0.0, 0.0], [30.0, 5.0]], dtype=torch.float64)
        domain = torch.tensor([-1, 0, 1])
        known = torch.tensor([False, True, True])
        features = encoder.features(lonlat, domain)
        assert features.isfinite().all()
        embedding = encoder(lonlat, domain=domain)
        assert torch.equal(embedding[0], encoder.unknown)
        assert (embedding[0] - embedding[1]).abs().max() > 1e-2
        assert torch.equal(encoder.embed(features, known), embedding)
        encoder.train()
        encoder(lonlat, domain=domain)[0].sum().backward()
        assert torch.equal(encoder.unknown.grad, torch.ones(24))

    def test_gradients_reach_the_head_and_nothing_else(self, make, places, name):
        encoder = make(name).train()
        encoder(places, domain=domains(places)).square().mean().backward()
        trained = {key for key, value in encoder.named_parameters() if value.requires_grad}
        assert trained == {
            key for key, _ in encoder.named_parameters() if key.startswith(("head.", "unknown"))
        }
        # even with every place known, `unknown` has a (zero) gradient: data-parallel training needs it
        assert all(value.grad is not None for value in encoder.parameters() if value.requires_grad)
        assert torch.count_nonzero(encoder.unknown.grad) == 0
        assert any(value.grad.abs().max() > 0 for value in encoder.head.parameters())

    def test_fixed_part_stays_fixed_in_training(self, make, places, name):
        encoder = make(name)
        before = encoder.eval().features(places, domains(places))
        encoder.train()
        optimiser = torch.optim.SGD(encoder.parameters(), lr=0.1)
        encoder(places, domain=domains(places)).square().sum().backward()
        optimiser.step()
        assert torch.equal(encoder.features(places, domains(places)), before)

    def test_noise_in_training_only(self, make, places, name):
        encoder = make(name, noise=0.5).train()
        first, second = (encoder(places, domain=domains(places)) for _ in range(2))
        assert (first - second).abs().max() > 1e-3
        assert torch.equal(*(encoder.features(places, domains(places)) for _ in range(2)))
        encoder.eval()
        assert torch.equal(*(encoder(places, domain=domains(places)) for _ in range(2)))
        silent = make(name).train()
        assert torch.equal(*(silent(places, domain=domains(places)) for _ in range(2)))

    def test_state_round_trip(self, make, places, name):
        torch.manual_seed(1)
        first = make(name).eval()
        torch.manual_seed(2)
        second = make(name, architecture=first.architecture).eval()
        assert not torch.equal(second(places, domain=domains(places)), first(places, domain=domains(places)))
        second.load_state_dict(first.state_dict())
        assert torch.equal(second(places, domain=domains(places)), first(places, domain=domains(places)))
        plain = {str, int, float, bool}
        assert all(type(value) in plain for value in first.architecture.values())

    def test_float32_under_autocast(self, make, places, name):
        encoder = make(name).eval()
        expected = encoder(places, domain=domains(places))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = encoder(places, domain=domains(places))
        assert got.dtype == torch.float32
        assert torch.equal(got, expected)

    @pytest.mark.slow
    def test_compiled_it_says_and_refuses_the_same(self, make, places, name):
        encoder = make(name)
        torch._dynamo.reset()
        compiled = torch.compile(encoder, backend="eager")
        places[3] = math.nan
        for mode in (True, False):
            encoder.train(mode)
            ours, plain = (e(places, domain=domains(places)) for e in (compiled, encoder))
            torch.testing.assert_close(ours, plain)
        wrong = (places, domains(places) + 9) if name == "domain" else (places + 1e4, None)
        with pytest.raises((ConfigError, CoordinateError), match=r"expected -1|beyond"):
            compiled(wrong[0], domain=wrong[1])

    def test_refuses_bad_options(self, make, name):
        with pytest.raises(ConfigError, match="out_dim: expected a positive whole number; got 0"):
            make(name, out_dim=0)
        with pytest.raises(ConfigError, match="noise: expected a standard deviation of at least 0; got -1"):
            make(name, noise=-1.0)
        with pytest.raises(ConfigError, match=r"features: expected \(B, \d+\).*got \(3, 999\)"):
            make(name).embed(torch.zeros(3, 999))


@pytest.mark.parametrize("name", OF_PLACES)
class TestContractOfPlaces:
    def test_features_are_standardised_without_data(self, make, name):
        """Over an independent, finer sample of the whole sphere: mean 0 and variance 1."""
        generator = torch.Generator().manual_seed(1)
        uniform = torch.rand(6000, 2, generator=generator, dtype=torch.float64)
        lat = torch.rad2deg(torch.asin(2 * uniform[:, 1] - 1))
        features = make(name).features(torch.stack([360 * uniform[:, 0] - 180, lat], dim=1))
        varying = features.std(dim=0) > 1e-6  # the harmonic of degree 0 is a constant
        assert varying.sum() >= features.shape[1] - 1
        assert features[:, varying].mean(dim=0).abs().max() < 0.12
        assert (features[:, varying].std(dim=0) - 1).abs().max() < 0.12

    def test_grid_equals_cells(self, make, name):
        encoder = make(name, noise=0.3).train()  # a grid has no noise, even in training
        grid = make_grid(7.5)
        parts = list(encoder.embed_grid(grid.lon, grid.lat))
        assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(
            range(len(grid.lat))
        )
        table = torch.cat([part for _, part in parts])
        assert not table.requires_grad
        expected = encoder.eval()(torch.from_numpy(grid.lonlat()))
        torch.testing.assert_close(table, expected, rtol=0, atol=1e-5)

    def test_grid_goes_by_bands_and_reaches_poles(self, make, name, monkeypatch):
        monkeypatch.setattr("geomoe.encoders.base.GRID_CELLS", 8)
        encoder = make(name).eval()
        lon, lat = np.array([-180.0, -60.5, 0.0, 179.75, 180.0]), np.array([90.0, 10.0, -90.0])
        parts = list(encoder.embed_grid(lon, lat))
        assert [rows for rows, _ in parts] == [slice(0, 1), slice(1, 2), slice(2, 3)]
        cells = np.stack(np.meshgrid(lon, lat), axis=-1).reshape(-1, 2)
        table = torch.cat([part for _, part in parts])
        torch.testing.assert_close(table, encoder(torch.from_numpy(cells)), rtol=0, atol=1e-5)

    def test_grid_leaves_gradient_mode_alone(self, make, name):
        for _ in make(name).embed_grid([0.0, 1.0], [5.0, 4.0]):
            assert torch.is_grad_enabled()

    def test_an_unknown_place_is_unknown_whatever_features_it_has(self, make, name):
        encoder = make(name).eval()
        lonlat = torch.tensor([[10.0, 20.0], [-30.0, 40.0]], dtype=torch.float64)
        place = Place.of(lonlat, features=encoder.features(lonlat))
        assert torch.equal(encoder(place), encoder(lonlat))
        lonlat[0] = math.nan
        embedding = encoder(place._replace(lonlat=lonlat))
        assert torch.equal(embedding[0], encoder.unknown)
        assert torch.equal(embedding[1], encoder(place)[1])

    def test_a_full_turn_of_longitude_is_the_same_place(self, make, name):
        encoder = make(name).eval()
        lonlat = torch.tensor([[-160.0, 12.0], [-0.5, -70.0], [120.0, 3.0]], dtype=torch.float64)
        turned = lonlat + torch.tensor([[360.0, 0.0], [360.0, 0.0], [-360.0, 0.0]])
        torch.testing.assert_close(encoder(turned), encoder(lonlat), rtol=0, atol=1e-5)

    def test_refuses_bad_places(self, make, name):
        encoder = make(name)
        for bad, message in [
            ([[1.0, math.nan]], "exactly one of lon, lat is missing"),
            ([[math.inf, 1.0]], "infinite coordinate"),
            ([[1.0, 90.5]], "latitude beyond 90"),
            ([[361.0, 5.0]], "longitude beyond 360"),
            ([[1.0, 2.0, 3.0]], r"expected floating \(B, 2\)"),
        ]:
            with pytest.raises(CoordinateError, match=message):
                encoder(torch.tensor(bad, dtype=torch.float64))
        for lon, lat, message in [
            ([0.0], [91.0], "grid lat: latitude beyond 90"),
            ([math.nan], [1.0], "grid lon: expected a vector of finite degrees"),
            ([[0.0]], [1.0], "grid lon: expected a vector"),
        ]:
            with pytest.raises(CoordinateError, match=message):
                encoder.embed_grid(lon, lat)


@pytest.mark.parametrize("name", ROUND)
def test_antimeridian_is_no_edge(make, name):
    encoder = make(name).eval()
    lat = torch.linspace(-85, 85, 9, dtype=torch.float64)
    east, west, near = (
        torch.stack([torch.full_like(lat, lon), lat], 1) for lon in (180.0, -180.0, 179.999999)
    )
    torch.testing.assert_close(encoder(east), encoder(west), rtol=0, atol=1e-6)
    torch.testing.assert_close(encoder(near), encoder(west), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", PRETRAINED)
def test_unfrozen_weights_are_trained(make, places, name):
    encoder = make(name, freeze=False).train()
    assert not encoder.frozen_features
    encoder(places).square().mean().backward()
    gradients = [value.grad for value in encoder.network.parameters() if value.requires_grad]
    assert gradients
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("spherical", {}, "encoder: expected one of sh, .*got 'spherical'"),
        ("satklip", {}, "did you mean satclip"),
        ("sh", {"weights": "x.ckpt"}, "the encoder sh reads no weights file; got 'x.ckpt'"),
        ("sh", {"legendre_polys": 0}, "legendre_polys: expected a positive whole number; got 0"),
        ("sh-siren", {"hidden_dim": 0}, "hidden_dim: expected a positive whole number; got 0"),
        ("satclip", {}, "needs a local .ckpt file, or hf:NAME with NAME one of SatCLIP-ResNet18-L10"),
        ("geoclip", {"capsules": ()}, r"capsules: expected some of 0, 1, 2, each once; got \[\]"),
        ("geoclip", {"capsules": (0, 3)}, r"got \[0, 3\]"),
        ("geoclip", {"capsules": (1, 1)}, r"got \[1, 1\]"),
        ("domain", {}, "needs the number of domains"),
    ],
)
def test_table_refuses(name, options, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder(name, **options)
