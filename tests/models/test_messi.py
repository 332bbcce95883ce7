"""The head of experts: its formula, its size, and how it stands among the other networks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from geomoe.errors import ConfigError, InputError
from geomoe.models import ExpertHeadNetwork, PlainNetwork, create_backbone, create_network
from geomoe.models.messi import ExpertHead, StackedLinear
from geomoe.models.networks import pooled_features


def small(name="vit_quick", **options):
    return ExpertHeadNetwork(create_network(name, num_classes=5, image_size=32), **options)


@pytest.mark.parametrize(
    ("name", "count"), [("deit_small_patch16_224", 7_091_718), ("deit_tiny_patch16_224", 1_776_390)]
)
def test_the_papers_sizes(name, count):
    """Table 23: 7.09 M and 1.78 M beside the encoder and the classifier."""
    network = ExpertHeadNetwork(create_backbone(name, num_classes=7, image_size=224))
    assert sum(value.numel() for value in network.experts.parameters()) == count
    encoder = sum(value.numel() for name, value in network.backbone.named_parameters() if "head." not in name)
    assert sum(value.numel() for value in network.parameters()) == encoder + count + 7 * (
        network.feature_dim + 1
    )


@pytest.mark.parametrize("name", ["vit_quick", "mnist_cnn", "test_resnet"])
def test_the_mixture_is_that_of_a_loop(name):
    torch.manual_seed(0)
    network = small(name, experts=4, expansion=2).eval().double()
    bands = 3
    image = torch.randn(6, bands, 32, 32, dtype=torch.float64)
    output = network(image, cka_tokens=0)
    u, head = pooled_features(network.backbone, image), network.experts
    shares = (u @ head.router.weight.T + head.router.bias).softmax(dim=1)
    mixed = torch.zeros_like(u)
    for expert in range(4):
        hidden = functional.gelu(u @ head.first.weight[expert].T + head.first.bias[expert])
        own = hidden @ head.second.weight[expert].T + head.second.bias[expert]
        torch.testing.assert_close(output.expert_outputs[0][expert], own)
        mixed += shares[:, expert, None] * own
    torch.testing.assert_close(output.routings[0].probs, shares)
    torch.testing.assert_close(output.features, mixed)
    classifier = network.backbone.get_classifier()
    scores = mixed @ classifier.weight.T + classifier.bias
    torch.testing.assert_close(output.logits, scores)
    weight, leaves = torch.randn_like(scores), list(network.parameters())
    ours, loops = (torch.autograd.grad((one * weight).sum(), leaves) for one in (output.logits, scores))
    for one, other in zip(ours, loops, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_the_routing_is_told_when_asked_for():
    network, image = small().eval(), torch.randn(2, 3, 32, 32)
    plain, told = network(image), network(image, cka_tokens=0)
    assert plain.routings == plain.expert_outputs == ()
    assert torch.equal(plain.logits, told.logits)
    assert told.expert_outputs[0].shape == (6, 2, network.feature_dim)
    assert torch.equal(told.routings[0].weights.sum(dim=1).round(decimals=5), torch.ones(2))


def test_it_has_no_experts_of_places():
    network, image = small(), torch.randn(2, 3, 32, 32)
    assert (network.blocks, network.num_experts, network.top_k, network.encoder) == ((), 0, 0, None)
    for choice in ("shared", 0, (1,)):
        with pytest.raises(ConfigError, match="experts: ExpertHeadNetwork has no experts to choose from"):
            network(image, experts=choice)
    assert network.route_places(torch.zeros(1, 2).double()) == ()


def test_the_backbone_is_that_of_erm():
    network = small()
    plain = PlainNetwork(network.backbone)
    own, other = network.state_dict(), plain.state_dict()
    assert {name for name in own if name.startswith("backbone.")} == set(other)


def test_every_weight_gets_a_gradient():
    network = small("test_resnet")
    network(torch.randn(4, 3, 32, 32)).logits.square().sum().backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_layers_start_like_torchs():
    torch.manual_seed(0)
    layer = StackedLinear(50, 16, 32)
    bound = 1 / 4
    for value in (layer.weight, layer.bias):
        assert value.abs().max() <= bound
        assert value.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not torch.equal(layer.weight[0], layer.weight[1])


def test_biases_are_not_decayed():
    from timm.optim import param_groups_weight_decay

    head = ExpertHead(8, experts=3)
    bare, decayed = param_groups_weight_decay(head, weight_decay=0.1)
    assert {id(value) for value in bare["params"]} == {
        id(value) for name, value in head.named_parameters() if name.endswith("bias")
    }
    assert len(decayed["params"]) == 3


@pytest.mark.parametrize("autocast", [False, True])
def test_routing_is_float32(autocast):
    network = small().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        routing = network(torch.randn(3, 3, 32, 32), cka_tokens=0).routings[0]
    assert routing.probs.dtype == routing.logits.dtype == torch.float32


@pytest.mark.parametrize("option", ["experts", "expansion"])
def test_refusals(option):
    with pytest.raises(ConfigError, match=f"{option}: expected at least 1; got 0"):
        small(**{option: 0})
    with pytest.raises(InputError, match="image"):
        small()(torch.randn(2, 4, 32, 32))
