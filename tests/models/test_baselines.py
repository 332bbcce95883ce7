"""The baseline networks: the plain transformer and the one with a location encoding."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from geomoe.errors import ConfigError, InputError
from geomoe.models import LocationNetwork, PlainNetwork, add_moge, create_backbone
from geomoe.types import Place

IMAGE = torch.randn(8, 3, 32, 32)


def quick(**options):
    return create_backbone("vit_quick", **{"num_classes": 5, "image_size": 32, **options})


def test_plain_is_the_backbone_wherever_it_is_asked(lonlat):
    vit = quick().eval()
    output = PlainNetwork(vit)(IMAGE, lonlat, experts="all", cka_tokens=4)
    assert torch.equal(output.logits, vit(IMAGE))
    assert output.features.shape == (8, 64)
    assert torch.equal(vit.head(output.features), output.logits)
    assert output.routings == output.shared_features == output.expert_outputs == ()


def test_location_equals_the_formula(encoder, lonlat):
    vit = quick().eval()
    model = LocationNetwork(vit, encoder, num_classes=7).eval()
    for norm in (model.norm_image, model.norm_location):
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    output = model(IMAGE, lonlat)
    z, phi = vit.forward_head(vit.forward_features(IMAGE), pre_logits=True), encoder(lonlat)
    z = functional.layer_norm(z, (64,), model.norm_image.weight, model.norm_image.bias)
    phi = functional.layer_norm(phi, (8,), model.norm_location.weight, model.norm_location.bias)
    weight, bias = model.head.weight, model.head.bias
    expected = z @ weight[:, :64].T + phi @ weight[:, 64:].T + bias
    assert torch.allclose(output.logits, expected, atol=1e-5)
    assert output.logits.shape == (8, 7)
    place = Place.of(lonlat, features=encoder.features(lonlat))
    assert torch.equal(model(IMAGE, place).logits, output.logits)


def test_location_takes_the_backbones_classes_and_leaves_nothing_unused(encoder, lonlat):
    model = LocationNetwork(quick(num_classes=9), encoder)
    output = model(IMAGE, lonlat)
    assert output.logits.shape == (8, 9)
    output.logits.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_location_without_a_place_uses_the_unknown(encoder, lonlat):
    model = LocationNetwork(quick(), encoder).eval()
    known = model(IMAGE, lonlat).logits
    nowhere = model(IMAGE, lonlat * float("nan")).logits
    assert nowhere.isfinite().all()
    assert not torch.allclose(known, nowhere)
    hidden = Place.unknown(8)._replace(features=encoder.features(lonlat))
    assert torch.equal(nowhere, model(IMAGE, hidden).logits)


@pytest.mark.parametrize("experts", ["shared", 0])
def test_there_are_no_experts_to_choose(experts, encoder, lonlat):
    for model in (PlainNetwork(quick()), LocationNetwork(quick(), encoder)):
        with pytest.raises(
            ConfigError, match=f"experts: .* has no experts to choose from; .* got {experts!r}"
        ):
            model(IMAGE, lonlat, experts=experts)


@pytest.mark.parametrize("name", ["vit_quick", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (8, 4, 32, 32), (8, 3, 64, 32), (8, 3, 32, 48), (8, 3)])
def test_refuses_images_of_another_size(name, shape, encoder):
    vit = create_backbone(name, num_classes=2, image_size=32)
    reads = r"the network reads \(B, 3, 32, 32\)"
    said = reads if len(shape) == 4 else rf"({reads}|expected a tensor \(B, bands, H, W\))"
    for model in (PlainNetwork(vit), add_moge(vit, encoder, blocks=(1,)), LocationNetwork(vit, encoder)):
        with pytest.raises(InputError, match=f"image: {said}; got"):
            model(torch.zeros(shape), torch.zeros(len(torch.zeros(shape)), 2, dtype=torch.float64))


def test_refusals(encoder):
    with pytest.raises(ConfigError, match="lonlat: this network needs places"):
        LocationNetwork(quick(), encoder)(IMAGE)
    with pytest.raises(ConfigError, match="num_classes: expected at least 1; got 0"):
        LocationNetwork(quick(), encoder, num_classes=0)
    for network in (PlainNetwork, lambda vit: LocationNetwork(vit, encoder)):
        with pytest.raises(
            ConfigError, match=r"expected a timm network, such as .*; Linear has no forward_features"
        ):
            network(torch.nn.Linear(1, 1))
