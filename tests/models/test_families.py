"""Every family of transformers: the walk is timm's own forward pass, in values and gradients."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva

from geomoe.errors import CheckpointError, ConfigError
from geomoe.models import add_moge, create_backbone, create_network
from geomoe.models.backbone_weights import load_backbone
from geomoe.models.mixstyle import mixing, style_points
from geomoe.models.networks import classify, pooled_features
from geomoe.models.token_moe import add_token_moe
from geomoe.moe import CosineTokenRouter, TokenMoELayer

SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 4}
ROPE = {"use_rot_pos_emb": True, "use_abs_pos_emb": False}
NETWORKS = {
    "eva": (Eva, {}),
    "eva02": (Eva, {"use_rot_pos_emb": True, "swiglu_mlp": True, "scale_mlp": True, "qkv_fused": False}),
    "rope with registers": (Eva, {**ROPE, "attn_type": "rope", "num_reg_tokens": 4, "init_values": 0.3}),
    "rope mixed": (Eva, {**ROPE, "rope_type": "mixed"}),
    "dinov3": (
        Eva,
        {**ROPE, "rope_type": "dinov3", "num_reg_tokens": 4, "init_values": 0.2, "dynamic_img_size": True,
         "swiglu_mlp": True, "swiglu_align_to": 8, "use_fc_norm": False},
    ),
    "patches dropped": (Eva, {**ROPE, "rope_type": "mixed", "patch_drop_rate": 0.5}),
    "pooled by attention": (Eva, {"global_pool": "map", "use_pre_transformer_norm": True}),
    "beit": (Beit, {"use_abs_pos_emb": False, "use_rel_pos_bias": True, "init_values": 0.1}),
    "beit with shared biases": (Beit, {"use_shared_rel_pos_bias": True, "global_pool": "token"}),
    "distilled deit": (VisionTransformerDistilled, {"global_pool": "token"}),
}  # fmt: skip


def network(name, **options):
    kind, own = NETWORKS[name]
    torch.manual_seed(0)
    made = kind(**SIZES, **own, **options)
    with torch.no_grad():
        for value in made.parameters():  # no head, bias or scale near zero, as at the start
            value.add_(torch.randn_like(value) * 0.1)
    return made


def gradients(model, answer):
    model.zero_grad()
    answer.square().sum().backward()
    return {
        name: None if value.grad is None else value.grad.clone() for name, value in model.named_parameters()
    }


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_shared_expert_alone_is_timms_network(name, training, encoder):
    vit = network(name, drop_path_rate=0.2, pos_drop_rate=0.1).train(training)
    model = add_moge(vit, encoder, blocks=(0, 2), num_experts=3, top_k=2).train(training)
    image = torch.randn(4, 3, 32, 32)
    torch.manual_seed(1)  # of dropout, stochastic depth and dropped patches
    expected = vit(image)
    assert expected.std() > 0.01
    wanted = gradients(vit, expected)
    torch.manual_seed(1)
    output = model(image, experts="shared")
    assert torch.equal(output.logits, expected)
    found = gradients(vit, output.logits)
    for key, value in wanted.items():
        assert (value is None) == (found[key] is None), key
        if value is not None:
            torch.testing.assert_close(found[key], value, rtol=0, atol=0, msg=key)
    if not training:
        normed = vit.forward_features(image)
        torch.testing.assert_close(output.features, vit.forward_head(normed, pre_logits=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_without_noise_the_specialists_answer_alike(name, encoder, lonlat):
    vit = network(name).double().eval()
    model = add_moge(vit, encoder, blocks=(0, 2), num_experts=3, top_k=2, expert_noise=0).double().eval()
    encoder.features = lambda lonlat, domain=None: torch.nan_to_num(lonlat) / 90
    image = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    expected = vit(image)
    torch.testing.assert_close(model(image, lonlat).logits, expected, rtol=0, atol=1e-12)
    many = model.forward_many(image, ["all", "shared", 1, (0, "all")], lonlat)
    assert torch.equal(many["shared"].logits, expected)
    for output in many.values():
        torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["eva02", "rope mixed", "beit with shared biases", "distilled deit"])
def test_all_ways_to_ask_agree(name, encoder, lonlat):
    model = add_moge(network(name), encoder, blocks=(1,), num_experts=3, top_k=2, expert_noise=1.0).eval()
    image = torch.randn(8, 3, 32, 32)
    one = model(image, lonlat).logits
    assert not torch.allclose(one, model(image, experts="shared").logits, atol=1e-4)
    torch.testing.assert_close(model.forward_many(image, ["all"], lonlat)["all"].logits, one)
    from geomoe.types import as_place

    torch.testing.assert_close(model.forward_places(image, [as_place(lonlat)])[0].logits, one)
    before = gradients(model, model.train()(image, lonlat).logits)
    model.backbone.set_grad_checkpointing(True)
    after = gradients(model, model(image, lonlat).logits)
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, msg=key)


def token_experts(experts, dim):
    router = CosineTokenRouter(dim, experts.count, top_k=1, projection=8, noise=0.0, capacity=0)
    return TokenMoELayer(experts, router)


@pytest.mark.parametrize("name", ["eva", "rope mixed", "beit", "distilled deit"])
def test_experts_for_tokens(name):
    vit, image = network(name).eval(), torch.randn(2, 3, 32, 32)
    before = vit(image)
    model = add_token_moe(vit, token_experts, blocks=(1,), num_experts=2, expert_noise=1.0).eval()
    output, layer = model(image), model.layers["1"]
    vit.blocks[1].mlp.forward = lambda tokens: (
        layer(tokens).y
    )  # timm's own forward pass, with the layer inside
    torch.testing.assert_close(output.logits, vit(image))
    assert not torch.allclose(output.logits, before, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "blocks", "message"),
    [
        (lambda: Eva(**SIZES, use_post_norm=True), (1,), "block 1 is a EvaBlockPostNorm, which normalises"),
        (lambda: Eva(**SIZES, global_pool=""), (1,), "backbone: it does not pool its tokens"),
        (lambda: type("Own", (Beit,), {"forward_head": None})(**SIZES), (1,), "Own has its own forward_head"),
        (lambda: timm.create_model("resnet18"), (1,), "or one of timm's ViT, DeiT, BEiT and .*; got ResNet"),
        (lambda: Eva(**SIZES), (3,), "blocks: the network has blocks 0 to 2; got 3"),
    ],
)  # fmt: skip
def test_refusals(make, blocks, message, encoder):
    with pytest.raises(ConfigError, match=message) as caught:
        add_moge(make(), encoder, blocks=blocks)
    assert "\n" not in str(caught.value)


def test_two_heads_that_answer_separately_are_refused(encoder):
    vit = network("distilled deit")
    vit.set_distilled_training(True)
    with pytest.raises(ConfigError, match=r"answer separately; call set_distilled_training\(False\)"):
        add_moge(vit, encoder, blocks=(1,))


def test_ffns_with_gates_are_refused_where_experts_are_stacked():
    with pytest.raises(ConfigError, match="an FFN of linear, activation, linear"):
        add_token_moe(network("eva02"), token_experts, blocks=(1,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["eva02_tiny_patch14_224", "vit_small_patch16_rope_mixed_224", "vit_small_patch16_dinov3",
     "deit_tiny_distilled_patch16_224"],
)  # fmt: skip
def test_names_of_timm(name, encoder):
    vit = create_backbone(name, num_classes=3, image_size=32, patch_size=8, bands=4, drop_path=0.1).eval()
    image = torch.randn(2, 4, 32, 32)
    model = add_moge(vit, encoder, blocks=(1,)).eval()
    assert vit(image).shape == (2, 3)
    assert torch.equal(model(image, experts="shared").logits, vit(image))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_come_back(name):
    source, target = network(name).eval(), NETWORKS[name][0](**SIZES, **NETWORKS[name][1]).eval()
    image = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(target(image), source(image))
    load_backbone(target, source.state_dict())
    assert torch.equal(target(image), source(image))


def test_weights_for_other_sizes_are_adapted_and_foreign_ones_refused(caplog):
    kind, options = NETWORKS["beit"]
    larger = kind(**{**SIZES, "img_size": 48, "in_chans": 5, "num_classes": 7}, **options)
    load_backbone(larger, network("beit").state_dict())
    assert "head.weight, head.bias; these are newly initialised" in caplog.text
    assert "spread over 5" in caplog.text
    table = larger.blocks[0].attn.relative_position_bias_table
    assert table.shape == ((2 * 6 - 1) ** 2 + 3, 2)
    assert table.std() > 0.05  # it starts at zero
    with pytest.raises(CheckpointError, match=r"cls_token|rel_pos|unexpected|missing"):
        load_backbone(network("eva02"), network("beit").state_dict())


def test_both_heads_of_a_distilled_deit_start_anew_with_other_classes(caplog):
    vit = VisionTransformerDistilled(**{**SIZES, "num_classes": 9}, global_pool="token")
    load_backbone(vit, network("distilled deit").state_dict())
    assert "head.bias, head_dist.weight, head_dist.bias; these are newly initialised" in caplog.text


def test_methods_on_pooled_features(encoder):
    vit = create_network("eva02_tiny_patch14_224", num_classes=3, image_size=32, patch_size=8).eval()
    image = torch.randn(2, 3, 32, 32)
    assert torch.equal(classify(vit, pooled_features(vit, image)), vit(image))


def test_styles_of_class_and_register_tokens_are_not_mixed():
    vit = network("rope with registers").eval()
    assert style_points(vit, 2) == [vit.blocks[0]]  # 3 blocks, in 4 groups
    seen = []
    handle = vit.blocks[1].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    image, draw = torch.randn(2, 3, 32, 32), (torch.zeros(2), torch.tensor([1, 0]))
    vit(image)
    with mixing(vit, 2, lambda: draw):
        vit(image)
    handle.remove()
    plain, mixed = seen
    assert torch.equal(plain[:, :5], mixed[:, :5])
    assert not torch.allclose(plain[:, 5:], mixed[:, 5:], atol=1e-3)
