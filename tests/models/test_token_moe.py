"""Vision transformers with experts for tokens: sizes, choices of experts, refusals, checkpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geomoe.build import build_network
from geomoe.checkpoint import save_checkpoint
from geomoe.config import ModelConfig, RunConfig
from geomoe.errors import CheckpointError, ConfigError
from geomoe.inference import load
from geomoe.mapping.ask import check_routes_by_place, route_grid
from geomoe.models import add_token_moe, create_backbone
from geomoe.models.vit import attend, embed_tokens, finish_block, read_out
from geomoe.moe import CosineTokenRouter, TokenMoELayer

NAMES = ("gmoe", "omoe", "dynmoe")
INFO = {"classes": list("abcde"), "domains": list("xy"), "bands": 3, "mean": [0.0] * 3, "std": [1.0] * 3}


def config(name, options=None, **model):
    sizes = {"image_size": 16, "num_experts": 4, "moge_blocks": (1, 3)} | model
    return RunConfig(algorithm=name, model=ModelConfig(**sizes), options={name: options or {}})


def make(name, options=None, **model):
    torch.manual_seed(0)
    return build_network(config(name, options, **model), INFO).eval()


def count(network):
    return sum(value.numel() for value in network.parameters())


@pytest.mark.slow
def test_gmoe_s_16_has_12_million_parameters_more():
    """Five FFNs of 1,181,568 more in each of two blocks, and gates of 100,097: projection, codes, scale."""
    config = RunConfig(
        algorithm="gmoe",
        model=ModelConfig(backbone="deit_small_patch16_224", image_size=224, moge_blocks=(8, 10)),
    )
    plain = count(build_network(replace(config, algorithm="erm", options={}), INFO))
    more = count(build_network(config, INFO)) - plain
    assert more == 2 * (5 * 1_181_568 + 384 * 256 + 256 + 6 * 256 + 1) == 12_015_874


@pytest.mark.parametrize("name", NAMES)
def test_the_walk_is_that_of_the_backbone_with_its_layers(name):
    model, image = make(name), torch.randn(3, 3, 16, 16)
    tokens, beside = embed_tokens(model.backbone, image)
    for index, block in enumerate(model.backbone.blocks):
        tokens = attend(model.backbone, index, tokens, beside)
        normed = block.norm2(tokens)
        ffn = model.layers[str(index)](normed).y if index in (1, 3) else block.mlp(normed)
        tokens = finish_block(model.backbone, index, tokens, ffn)
    output = model(image)
    features, logits = read_out(model.backbone, tokens)
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.logits, logits)
    torch.testing.assert_close(logits, model.backbone.head(features))
    assert len(output.routings) == len(output.token_routings) == 2


@pytest.mark.parametrize("name", NAMES)
def test_what_it_has(name):
    model = make(name)
    experts, top_k = {"gmoe": (4, 1), "omoe": (4, 2), "dynmoe": (8, 8)}[name]
    assert (model.blocks, model.num_experts, model.top_k) == ((1, 3), experts, top_k)
    assert not model.routes_places
    assert not model.has_shared
    assert model.encoder is None
    assert model.route_places(torch.zeros(1, 2)) == ()
    output = model(torch.randn(3, 3, 16, 16), cka_tokens=2)
    for routing, outputs in zip(output.routings, output.expert_outputs, strict=True):
        torch.testing.assert_close(routing.weights.sum(dim=1), torch.ones(3))
        torch.testing.assert_close(routing.probs.sum(dim=1), torch.ones(3))
        assert outputs.shape == (experts, 6, 64)


@pytest.mark.parametrize("name", NAMES)
def test_many_choices_at_once_are_those_one_by_one(name):
    model, image = make(name), torch.randn(3, 3, 16, 16)
    choices = ["all", 2, (0, "all"), ("all", 3), (1, 2)]
    together = model.forward_many(image, choices)
    assert set(together) == set(choices)
    for choice, output in together.items():
        alone = model(image, experts=choice)
        torch.testing.assert_close(output.logits, alone.logits)
        torch.testing.assert_close(output.routings[1].weights, alone.routings[1].weights)


@pytest.mark.parametrize(
    ("name", "options", "model", "message"),
    [
        ("gmoe", {"top_k": 5}, {}, "top_k: expected 1 to num_experts = 4; got 5"),
        ("omoe", {"top_k": 5}, {}, "top_k: expected 1 to num_experts = 4; got 5"),
        ("dynmoe", {"max_experts": 3}, {}, "max_experts: expected at least num_experts = 4; got 3"),
        ("gmoe", {}, {"moge_blocks": (1, 9)}, "blocks: the network has blocks 0 to 3; got 9"),
        ("dynmoe", {}, {"moge_blocks": (1, 1)}, "blocks: expected each block once; got 1, 1"),
        ("omoe", {}, {"moge_blocks": ()}, "blocks: expected at least one block number from 0 to 3; got none"),
        ("gmoe", {}, {"backbone": "resnet18"}, "resnet18"),
        ("gmoe", {}, {"backbone": "mnist_cnn", "image_size": 28}, "mnist_cnn"),
    ],
)
def test_refusals(name, options, model, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make(name, options, **model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("experts", "message"),
    [
        ("shared", "experts: this network has no shared expert; use all or a number; got shared"),
        (4, "experts: expected all, shared or a number from 0 to 3; got 4"),
        ((1, 2, 3), "experts: expected a choice for each of the 2 blocks; got 3"),
    ],
)
def test_experts_that_are_not_there(experts, message):
    with pytest.raises(ConfigError, match=message):
        make("gmoe")(torch.randn(1, 3, 16, 16), experts=experts)


def test_blocks_that_are_not_a_vits_own_are_refused():
    vit = create_backbone("vit_quick", num_classes=5, image_size=16)
    model = add_token_moe(vit, lambda e, d: TokenMoELayer(e, CosineTokenRouter(d, e.count)), blocks=(1,))
    with pytest.raises(ConfigError, match=r"experts: expected an FFN of linear.*; got a Identity"):
        add_token_moe(vit, lambda e, d: TokenMoELayer(e, CosineTokenRouter(d, e.count)), blocks=(1,))
    assert model.blocks == (1,)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_answers_and_cannot_be_mapped(name, tmp_path):
    model = make(name)
    path = save_checkpoint(tmp_path / "it.ckpt", model, config(name), INFO)
    found = load(path, device="cpu")
    image = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(found.model(image).logits, model(image).logits)
    with pytest.raises(ConfigError, match=f"experts: {name} has no shared expert; use experts='all'"):
        found.check_experts("shared")
    assert found.check_experts(3) == 3
    line = f"the routers of {name} read images, not places, so there is no expert map"
    with pytest.raises(CheckpointError, match=line):
        check_routes_by_place(found, str(path))
    with pytest.raises(ConfigError, match="TokenMoEViT has no experts of places"):
        route_grid(model, None)
