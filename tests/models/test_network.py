"""What holds for every network: the attributes it is asked for, and how it takes places."""

from __future__ import annotations

import pytest
import torch

import geomoe.models
from geomoe.encoders import create_encoder
from geomoe.errors import ConfigError, CoordinateError, InputError
from geomoe.models import LocationNetwork, Network, PlainNetwork, add_moge, create_backbone
from geomoe.types import Place

IMAGE = torch.randn(8, 3, 16, 16)


def make(name, encoder="sh"):
    torch.manual_seed(0)
    backbone = create_backbone("vit_quick", num_classes=5, image_size=16)
    if name == "plain":
        return PlainNetwork(backbone).eval()
    options = {"num_domains": 4} if encoder == "domain" else {"legendre_polys": 4}
    phi = create_encoder(encoder, out_dim=8, **options)
    if name == "location":
        return LocationNetwork(backbone, phi).eval()
    return add_moge(backbone, phi, blocks=(1, 3), num_experts=4, top_k=2, expert_noise=0.5).eval()


@pytest.fixture(params=["plain", "location", "moge"])
def name(request):
    return request.param


def test_what_it_has_is_an_attribute(name):
    model = make(name)
    assert isinstance(model, Network)
    assert (model.encoder is None) is (name == "plain")
    found = (model.blocks, model.num_experts, model.top_k)
    assert found == (((1, 3), 4, 2) if name == "moge" else ((), 0, 0))
    names = {key.split(".")[0] for key in model.state_dict()}
    assert (
        names
        == {
            "plain": {"backbone"},
            "location": {"backbone", "encoder", "norm_image", "norm_location", "head"},
            "moge": {"backbone", "encoder", "layers"},
        }[name]
    )


def test_encoders_that_read_places_were_trained_on_no_domains():
    assert make("moge").encoder.trained is None
    assert make("moge", "domain").encoder.trained.tolist() == [True] * 4
    assert not any("trained" in key for key in make("moge", "domain").state_dict())


def test_every_form_of_a_place_gets_the_same_answer(name, lonlat):
    model = make(name)
    lonlat[5:] = torch.nan
    forms = [lonlat, Place.of(lonlat), Place.of(lonlat.float())]
    if model.encoder is not None:
        forms.append(Place.of(lonlat, features=model.encoder.features(lonlat)))
    with torch.no_grad():
        answers = [model(IMAGE, form).logits for form in forms]
    assert all(torch.equal(answer, answers[0]) for answer in (*answers[:2], *answers[3:]))
    torch.testing.assert_close(answers[2], answers[0], rtol=0, atol=1e-3)  # degrees rounded to float32


@pytest.mark.parametrize("network", ["location", "moge"])
def test_domains_reach_the_encoder_of_domains(network):
    model = make(network, "domain")
    ids = torch.tensor([0, 3, -1, 3, 1, 2, 0, -1])
    place = Place.unknown(8)._replace(domain=ids)
    table = torch.cat([model.encoder.head.weight, model.encoder.unknown[None]])
    assert torch.equal(model.embed_places(place), table[ids])  # -1: the last row
    with torch.no_grad():
        one, other = model(IMAGE, place).logits, model(IMAGE, Place.unknown(8)).logits
    assert torch.equal(one[ids < 0], other[ids < 0])
    assert not torch.equal(one, other)


def test_many_choices_are_as_many_calls(name, lonlat):
    model = make(name)
    choices = ["all", "shared", 2] if name == "moge" else ["all"]
    with torch.no_grad():
        found = model.forward_many(IMAGE, choices, lonlat)
        assert list(found) == choices
        for choice in choices:
            torch.testing.assert_close(found[choice].logits, model(IMAGE, lonlat, experts=choice).logits)


def test_several_places_are_those_one_by_one(name, lonlat):
    model = make(name).eval()
    places = [Place.of(lonlat), Place.of(lonlat.flip(0)), Place.unknown(len(lonlat))]
    with torch.no_grad():
        found = model.forward_places(IMAGE, places)
        for output, place in zip(found, places, strict=True):
            alone = model(IMAGE, place)
            assert torch.equal(output.logits, alone.logits)
            assert torch.equal(output.features, alone.features)
            for one, other in zip(output.routings, alone.routings, strict=True):
                assert torch.equal(one.weights, other.weights)
        assert model.forward_places(IMAGE, []) == []
    if model.encoder is not None:
        with pytest.raises(InputError, match="place: expected one for each of the"):
            model.forward_places(IMAGE, [Place.unknown(3)])


def test_routers_answer_where_there_are_some(name, lonlat):
    model = make(name)
    found = model.route_places(Place.of(lonlat))
    assert len(found) == len(model.blocks)
    for one, other in zip(found, model(IMAGE, lonlat).routings, strict=True):
        assert torch.equal(one.weights, other.weights)
    if name != "moge":
        assert model.route(torch.zeros(8, 8)) == ()


@pytest.mark.slow
def test_compiles_with_a_place(name, lonlat):
    model = make(name)
    place = Place.of(lonlat)
    if model.encoder is not None:
        place = place._replace(features=model.encoder.features(lonlat))
    torch.compiler.reset()
    with torch.no_grad():
        ours = torch.compile(model, backend="eager")(IMAGE, place).logits
        torch.testing.assert_close(ours, model(IMAGE, place).logits)


@pytest.mark.parametrize("network", ["location", "moge"])
def test_refusals(network, lonlat):
    model = make(network)
    for call, error, message in [
        (lambda: model(IMAGE), ConfigError, "lonlat: this network needs places"),
        (lambda: model(IMAGE, lonlat[:3]), InputError, "place: expected one for each of the 8 images; got 3"),
        (lambda: model(IMAGE, lonlat[:, :1]), CoordinateError, r"lonlat: expected floating \(B, 2\)"),
        (lambda: model(IMAGE, lonlat.long()), CoordinateError, "got .* torch.int64"),
        (lambda: model(IMAGE, lonlat + 300), CoordinateError, "longitude beyond 360|latitude beyond 90"),
        (
            lambda: model.encoder(Place.of(lonlat), domain=torch.zeros(8).long()),
            ConfigError,
            "domain: a Place",
        ),
        (
            lambda: model(IMAGE, Place.of(lonlat, features=torch.zeros(8, 7))),
            ConfigError,
            r"features: expected \(B, 16\); got \(8, 7\)",
        ),
    ]:
        with pytest.raises(error, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_network_without_an_encoder_embeds_nothing(lonlat):
    with pytest.raises(ConfigError, match="encoder: PlainNetwork has no location encoder"):
        make("plain").embed_places(lonlat)


def test_the_names_of_old_still_import():
    assert geomoe.models.PlainViT is PlainNetwork
    assert geomoe.models.LocationViT is LocationNetwork
