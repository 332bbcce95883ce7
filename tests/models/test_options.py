"""The options of networks and encoders: by name, as one value, or both; an unknown name is refused."""

import pytest
import torch

from geomoe.encoders import EncoderOptions, create_encoder
from geomoe.models import BackboneOptions, MoGEOptions, add_moge, create_backbone, create_network

SIZES = {"num_classes": 3, "image_size": 16}


def alike(one, other):
    ones, others = one.state_dict(), other.state_dict()
    return list(ones) == list(others) and all(torch.equal(ones[name], others[name]) for name in ones)


def made(seed, build, *values, **named):
    torch.manual_seed(seed)
    return build(*values, **named)


@pytest.mark.parametrize("create", [create_backbone, create_network])
def test_backbones(create):
    by_name = made(0, create, "vit_quick", **SIZES, mlp_ratio=2.0)
    assert alike(by_name, made(0, create, "vit_quick", BackboneOptions(**SIZES, mlp_ratio=2.0)))
    assert alike(by_name, made(0, create, "vit_quick", BackboneOptions(**SIZES), mlp_ratio=2.0))
    with pytest.raises(TypeError, match=r"no option 'num_class'; did you mean num_classes\?"):
        create("vit_quick", num_class=3, image_size=16)
    with pytest.raises(TypeError, match="image_size"):
        create("vit_quick", num_classes=3)


def test_encoders():
    by_name = made(0, create_encoder, "sh", out_dim=8, legendre_polys=3)
    options = EncoderOptions(out_dim=8)
    assert alike(by_name, made(0, create_encoder, "sh", options, legendre_polys=3))
    assert by_name.recipe == made(0, create_encoder, "sh", options, legendre_polys=3).recipe
    with pytest.raises(TypeError, match=r"no option 'legendre'"):
        create_encoder("sh", legendre=3)


def test_experts():
    def model(*options, **changes):
        backbone = create_backbone("vit_quick", **SIZES)
        return add_moge(backbone, create_encoder("wrap", out_dim=8), *options, **changes)

    by_name = made(0, model, blocks=(1, 3), num_experts=3, top_k=2)
    assert alike(by_name, made(0, model, MoGEOptions(blocks=(1, 3), num_experts=3), top_k=2))
    assert by_name.blocks == (1, 3)
    with pytest.raises(TypeError, match=r"no option 'experts'"):
        model(experts=3)
