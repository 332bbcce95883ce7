"""Learning rates that decay from layer to layer, against timm's own groups and against counting by hand."""

import pytest
import torch
from timm.optim import param_groups_layer_decay

from geomoe.encoders import create_encoder
from geomoe.errors import ConfigError
from geomoe.models import (
    LocationNetwork,
    LocationTokenViT,
    PlainNetwork,
    add_moge,
    create_backbone,
    create_network,
)
from geomoe.training.optimizers import layer_scales, parameter_groups

DECAY = 0.7


def rates(module, decay=DECAY):
    """Name -> (learning rate, weight decay) of every trainable parameter."""
    names = {id(value): name for name, value in module.named_parameters()}
    groups = parameter_groups(module, 0.05, 2.0, decay)
    found = {names[id(v)]: (group["lr"], group["weight_decay"]) for group in groups for v in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups), "each parameter once"
    assert found.keys() == {name for name, value in module.named_parameters() if value.requires_grad}
    return found


@pytest.mark.parametrize("name", ["vit_quick", "deit_tiny_patch16_224", "resnet18", "convnext_atto"])
def test_a_plain_network_has_timms_own_factors(name):
    backbone = create_network(name, num_classes=5, image_size=32)
    groups = param_groups_layer_decay(
        backbone, 0.05, backbone.no_weight_decay() if "it" in name else (), layer_decay=DECAY
    )
    names = {id(value): f"backbone.{name}" for name, value in backbone.named_parameters()}
    want = {names[id(v)]: (2 * g["lr_scale"], g["weight_decay"]) for g in groups for v in g["params"]}
    found = rates(PlainNetwork(backbone))
    for place in (0, 1):
        own, other = ({key: pair[place] for key, pair in one.items()} for one in (found, want))
        assert own == pytest.approx(other)


def test_factors_count_layers_from_the_classifier():
    found = rates(PlainNetwork(create_backbone("vit_quick", num_classes=5, image_size=16)))
    assert found["backbone.head.weight"] == (2.0, 0.05)
    assert found["backbone.fc_norm.weight"][0] == 2.0  # behind the pooling; timm counts it to the classifier
    for block in range(4):
        assert found[f"backbone.blocks.{block}.mlp.fc1.weight"][0] == pytest.approx(2 * DECAY ** (4 - block))
    assert found["backbone.pos_embed"] == (pytest.approx(2 * DECAY**5), 0)


def test_what_stands_beside_a_backbone_has_the_factor_of_its_depth():
    phi = create_encoder("wrap", out_dim=8)
    vit = create_backbone("vit_quick", num_classes=5, image_size=16)
    moge = rates(add_moge(vit, phi, blocks=(1, 3), num_experts=3, top_k=2, at_head=True))
    for name, (rate, _) in moge.items():
        if name.startswith("layers."):
            assert rate == pytest.approx(2 * DECAY ** (4 - int(name.split(".")[1]))), name
        if name.startswith(("encoder.", "place_head.")):
            assert rate == 2.0
    token = rates(LocationTokenViT(create_backbone("vit_quick", num_classes=5, image_size=16), phi))
    assert token["tokens.0.weight"][0] == pytest.approx(2 * DECAY**4)
    vit = create_backbone("vit_quick", num_classes=5, image_size=16)
    location = rates(LocationNetwork(vit, phi))  # the classifier is not in the backbone
    assert location["backbone.blocks.3.mlp.fc1.weight"][0] == pytest.approx(2 * DECAY)
    assert location["head.weight"][0] == 2.0


def test_without_decay_groups_are_as_they_were():
    network = PlainNetwork(create_backbone("vit_quick", num_classes=5, image_size=16))
    assert [list(group) for group in parameter_groups(network, 0.05, 2.0, 1.0)] == [
        ["params", "weight_decay"]
    ] * 2


def test_a_backbone_without_layers_is_refused():
    network = PlainNetwork(create_network("mnist_cnn", num_classes=2, image_size=28, bands=2))
    with pytest.raises(
        ConfigError, match=r"optimizer.layer_decay: timm knows no layers of MnistCnn; set it to 1; got 0.7"
    ):
        layer_scales(network, DECAY)
    assert torch.is_tensor(parameter_groups(network, 0.05, 1.0, 1.0)[0]["params"][0])
