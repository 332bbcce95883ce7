"""MoGE in timm transformers: nothing is lost, everything is told apart, it compiles."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from geomoe.encoders import create_encoder
from geomoe.errors import ConfigError
from geomoe.losses import cka_diversity, load_balance, supcon
from geomoe.models import MoGEViT, add_moge, create_backbone
from geomoe.types import Place

IMAGE = torch.randn(8, 3, 32, 32)


def quick(**options):
    return create_backbone("vit_quick", num_classes=5, image_size=32, **options)


def small(encoder, **options):
    return add_moge(quick(), encoder, **{"blocks": (1, 3), "num_experts": 4, "top_k": 2, **options})


ARCHITECTURES = {
    "vit_tiny_patch16_224": {"img_size": 64},
    "deit_small_patch16_224": {"img_size": 48},
    "vit_small_patch32_224": {"img_size": 96, "in_chans": 4},
    "vit_tiny_patch16_224 patch 8, 13 bands, registers": {
        "img_size": 32,
        "patch_size": 8,
        "in_chans": 13,
        "reg_tokens": 2,
        "init_values": 0.5,
        "global_pool": "avg",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ARCHITECTURES)
def test_without_noise_the_answer_is_the_backbones(case, encoder):
    options = ARCHITECTURES[case]
    vit = timm.create_model(case.split()[0], num_classes=11, **options).eval()
    with torch.no_grad():
        for parameter in vit.parameters():  # random weights of a trained network's size
            parameter.add_(torch.randn_like(parameter) * 0.02)
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    image = torch.randn(3, options.get("in_chans", 3), options["img_size"], options["img_size"])
    lonlat = torch.tensor([[10.0, 50], [-100, -20], [float("nan")] * 2], dtype=torch.float64)
    model = add_moge(vit, encoder, expert_noise=0).eval()
    with torch.no_grad():
        expected = vit(image)
        output, alone = model(image, lonlat), model(image, experts="shared")
    assert expected.std() > 0.05
    assert (output.logits - expected).abs().max() <= 1e-5
    assert torch.equal(alone.logits, expected)
    assert model.remove() is vit
    assert torch.equal(vit(image), expected)
    after = vit.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_output_equals_a_literal_walk_with_every_expert_on_every_sample(encoder, lonlat):
    model = small(encoder, expert_noise=0.5, gamma=0.3).double().eval()
    encoder.features = lambda lonlat, domain=None: lonlat / 90
    image = IMAGE.double()
    output = model(image, lonlat)
    vit = model.backbone
    x = vit.patch_embed(image) + vit.pos_embed
    routings = model.route(encoder(lonlat))
    for i, block in enumerate(vit.blocks):
        x = x + block.attn(block.norm1(x))
        h = block.norm2(x)
        if i not in (1, 3):
            x = x + block.mlp(h)
            continue
        layer, routing = model.layers[str(i)], routings[(1, 3).index(i)]
        mixed = layer.fixed_gamma * block.mlp(h)
        for k, expert in enumerate(layer.experts):
            mixed = mixed + (1 - layer.fixed_gamma) * routing.weights[:, k, None, None] * expert(h)
        x = x + mixed
    features = vit.fc_norm(x.mean(1))
    assert (output.features - features).abs().max() < 1e-12
    assert (output.logits - vit.head(features)).abs().max() < 1e-12


def test_one_choice_for_each_block(encoder, lonlat):
    model = small(encoder, expert_noise=0.5).eval()

    def answer(experts):
        return model(IMAGE, lonlat, experts=experts).logits

    for same in ("all", "shared", 2):
        assert torch.equal(answer((same, same)), answer(same))
    forced = answer((2, "all"))
    first = model.layers["1"]
    route = first.router.forward

    def always_expert_2(embedding):
        weights = torch.eye(4)[[2] * len(embedding)]
        return route(embedding)._replace(weights=weights)

    first.router.forward = always_expert_2
    assert torch.allclose(answer("all"), forced, atol=1e-6)
    assert not torch.allclose(answer(("all", "all")), answer((3, "all")), atol=1e-4)


def test_several_places_share_the_blocks_before_the_first_experts(encoder, lonlat):
    model = small(encoder, expert_noise=1.0).eval()
    calls = [0] * len(model.backbone.blocks)
    for number, block in enumerate(model.backbone.blocks):
        block.attn.register_forward_hook(
            lambda *_, number=number: calls.__setitem__(number, calls[number] + 1)
        )
    with torch.no_grad():
        model.forward_places(IMAGE, [Place.of(lonlat), Place.of(lonlat.flip(0)), Place.unknown(len(lonlat))])
    first = model.blocks[0]
    assert calls == [1] * first + [3] * (len(calls) - first)


def test_many_choices_at_once_are_those_one_by_one(encoder, lonlat):
    model = small(encoder, expert_noise=1.0).eval()
    choices = ["all", "shared", 2, *((k, "all") for k in range(4)), *(("all", k) for k in range(4))]
    calls = [0] * len(model.backbone.blocks)

    def count(number):
        def add(*_):
            calls[number] += 1

        return add

    for number, block in enumerate(model.backbone.blocks):
        block.attn.register_forward_hook(count(number))
    with torch.no_grad():
        found = model.forward_many(IMAGE, choices, lonlat)
        assert calls == [1, 1, 6, 6], "up to block 1 all agree; behind it there are all, shared and 4 experts"
        assert set(found) == set(choices)
        for choice, output in found.items():
            alone = model(IMAGE, lonlat, experts=choice)
            assert torch.equal(output.logits, alone.logits)
            assert torch.equal(output.features, alone.features)
            assert all(
                torch.equal(a.weights, b.weights)
                for a, b in zip(output.routings, alone.routings, strict=True)
            )
        without = model.forward_many(IMAGE, ["shared"])
        assert torch.equal(without["shared"].logits, found["shared"].logits)
        assert without["shared"].routings == ()


def test_the_three_answers_differ_once_experts_do(encoder, lonlat):
    model = small(encoder, expert_noise=0.5).eval()
    outputs = [model(IMAGE, lonlat, experts=e).logits for e in ("all", "shared", 0, 1, 2, 3)]
    for i, a in enumerate(outputs):
        assert all((a - b).abs().max() > 1e-4 for b in outputs[:i])


def test_permuting_experts_leaves_the_answer(encoder, lonlat):
    model = small(encoder, expert_noise=0.5).eval()
    before = model(IMAGE, lonlat)
    for layer in model.layers.values():
        layer.experts = nn.ModuleList(layer.experts[i] for i in (2, 0, 3, 1))
        layer.router.codebook.data = layer.router.codebook.data[[2, 0, 3, 1]]
    after = model(IMAGE, lonlat)
    assert (before.logits - after.logits).abs().max() < 1e-6
    for a, b in zip(before.routings, after.routings, strict=True):
        assert torch.allclose(a.weights[:, [2, 0, 3, 1]], b.weights)


def test_routing_alone_is_the_routing_of_the_forward_pass(encoder, lonlat):
    model = small(encoder).eval()
    routings = model(IMAGE, lonlat).routings
    features = encoder.features(lonlat)
    for other in (
        model.route(encoder(lonlat)),
        model.route_places(lonlat),
        model.route_places(Place.of(lonlat, features=features)),
        model(IMAGE, Place.of(lonlat, features=features)).routings,
    ):
        assert len(other) == 2
        assert all(torch.equal(a.weights, b.weights) for a, b in zip(routings, other, strict=True))
    assert model.blocks == (1, 3)
    assert model.num_experts == 4


def test_fixed_features_are_not_computed_again(encoder, lonlat):
    model = small(encoder)
    features = encoder.features(lonlat)
    encoder.encoded = 0
    model(IMAGE, Place.of(lonlat, features=features))
    assert encoder.encoded == 0


def test_unknown_places_all_get_the_same_route(encoder, lonlat):
    model = small(encoder).eval()
    features = encoder.features(lonlat)
    lonlat[3:] = float("nan")
    for routing in (
        model(IMAGE, lonlat).routings[0],
        model(IMAGE, Place.of(lonlat, features=features)).routings[0],
    ):
        assert (routing.weights[3:] == routing.weights[3]).all()
        assert not torch.equal(routing.logits[0], routing.logits[3])


def test_what_comes_along_and_when(encoder, lonlat):
    model = small(encoder)
    output = model(IMAGE, lonlat, cka_tokens=3)
    assert [tuple(f.shape) for f in output.shared_features] == [(8, 64)] * 2
    assert [tuple(e.shape) for e in output.expert_outputs] == [(4, 24, 64)] * 2
    assert model(IMAGE, lonlat).expert_outputs == ()
    output = model.eval()(IMAGE, lonlat)
    assert output.shared_features == output.expert_outputs == ()
    assert len(model(IMAGE, lonlat, cka_tokens=0, shared_features=True).shared_features) == 2
    assert model(IMAGE, experts="shared").routings == ()
    assert len(model(IMAGE, lonlat, experts=1).routings) == 2


def test_expert_dropout_is_one_draw_for_all_blocks_and_only_in_training(encoder, lonlat, monkeypatch):
    model = small(encoder, expert_dropout=0.5, expert_noise=0.5)
    for module in model.modules():  # batch statistics would couple the samples
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    masks = []
    for layer in model.layers.values():
        original = layer.plan
        monkeypatch.setattr(layer, "plan", lambda *a, f=original: masks.append(a[3]) or f(*a))
    logits = model(IMAGE, lonlat).logits
    assert masks[0] is masks[1]
    assert 0 < masks[0].sum() < 8
    alone, full = model(IMAGE, experts="shared").logits, model.eval()(IMAGE, lonlat).logits
    assert masks[-1] is None
    assert torch.allclose(logits, torch.where(masks[0][:, None], alone, full), atol=1e-6)


def test_expert_dropout_takes_its_share(encoder, monkeypatch):
    model = small(encoder, expert_dropout=0.3)
    drops = []
    layer = model.layers["1"]
    original = layer.plan
    monkeypatch.setattr(layer, "plan", lambda *a: drops.append(a[3]) or original(*a))
    model(torch.randn(500, 3, 32, 32), torch.zeros(500, 2, dtype=torch.float64))
    assert drops[0].float().mean().item() == pytest.approx(0.3, abs=0.1)  # 5 sd


@pytest.mark.parametrize("dropout", [0.0, 0.99])
def test_every_parameter_gets_a_gradient_in_training(dropout, encoder):
    """Two samples at one place: most experts answer nobody."""
    model = small(encoder, expert_dropout=dropout, learn_gamma=True, top_k=1)
    output = model(IMAGE[:2], torch.tensor([[10.0, 50]] * 2, dtype=torch.float64))
    output.logits.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("dropout", [0.0, 0.99])
def test_every_parameter_gets_a_gradient_from_the_real_encoder_and_losses(dropout, lonlat):
    """Data-parallel training has no unused parameter, whatever is unknown and whoever is dropped."""
    model = small(create_encoder("sh", out_dim=16, noise=0.1), expert_dropout=dropout)
    label = torch.arange(8) % 3
    features = model.encoder.features(lonlat)
    output = model(IMAGE, Place.of(lonlat, features=features), cka_tokens=4)
    loss = functional.cross_entropy(output.logits, label)
    parts = zip(output.routings, output.shared_features, output.expert_outputs, strict=True)
    for routing, feature, outputs in parts:
        loss = loss + load_balance(routing) + supcon(feature, label, routing.top1) + cka_diversity(outputs)
    loss.backward()
    assert loss.isfinite()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.slow
def test_trains_end_to_end_and_recomputes_blocks_to_save_memory(encoder, lonlat):
    model = small(encoder, learn_gamma=True).train()
    twin = copy.deepcopy(model)
    twin.backbone.set_grad_checkpointing(True)
    for network in (model, twin):
        network(IMAGE, lonlat).logits.square().sum().backward()
    for (name, a), b in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6), name


@pytest.mark.long
@pytest.mark.slow
def test_compiles(lonlat):
    model = small(create_encoder("sh", out_dim=16, noise=0.1), expert_dropout=0.3, blocks=(2,), num_experts=3)
    lonlat[2] = float("nan")
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    output = compiled(IMAGE, lonlat, cka_tokens=2)
    output.logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    for size in (8, 5):
        ours = compiled(IMAGE[:size], lonlat[:size]).logits
        assert (ours - model(IMAGE[:size], lonlat[:size]).logits).abs().max() < 1e-5


@pytest.mark.long
@pytest.mark.slow
def test_blocks_and_batches_share_compiled_graphs():
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=32, embed_dim=24, num_heads=2)
    compiled = torch.compile(add_moge(vit, create_encoder("sh", out_dim=16), blocks=(8, 10)), backend="eager")
    torch._dynamo.reset()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for size in (24, 20, 16):
            places = torch.rand(size, 2, dtype=torch.float64) * 80
            compiled(torch.randn(size, 3, 32, 32), places, cka_tokens=4).logits.sum().backward()


def test_state_dict_round_trip(encoder, lonlat):
    model = small(encoder, learn_gamma=True, expert_noise=0.3).eval()
    other = small(copy.deepcopy(encoder), learn_gamma=True, expert_noise=0.9).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(IMAGE, lonlat).logits, other(IMAGE, lonlat).logits)
    assert "backbone.blocks.1.mlp.fc1.weight" in model.state_dict()
    assert "layers.1.experts.0.fc1.weight" in model.state_dict()


class OwnHead(timm.models.vision_transformer.VisionTransformer):
    def forward_head(self, x, pre_logits=False):
        return super().forward_head(x, pre_logits) * 2


def tiny(cls=timm.models.vision_transformer.VisionTransformer, **options):
    return cls(img_size=32, embed_dim=32, depth=3, num_heads=2, num_classes=3, **options)


@pytest.mark.parametrize(
    ("vit", "options", "message"),
    [
        (lambda: nn.Linear(2, 2), {}, r"backbone: expected a timm VisionTransformer, .* got Linear"),
        (
            lambda: timm.create_model("resnet18"),
            {},
            r"backbone: expected a timm VisionTransformer, .* got ResNet",
        ),
        (lambda: tiny(OwnHead), {}, r"OwnHead has its own forward_head"),
        (lambda: tiny(global_pool=""), {}, r"backbone: it does not pool"),
        (
            lambda: tiny(block_fn=timm.models.vision_transformer.ParallelScalingBlock),
            {"blocks": (1,)},
            r"blocks: block 1 is a ParallelScalingBlock",
        ),
        (quick, {"blocks": (8, 10)}, r"blocks: the network has blocks 0 to 3; got 8, 10"),
        (quick, {"blocks": (-1,)}, r"blocks: the network has blocks 0 to 3; got -1"),
        (quick, {"blocks": ("1",)}, r"blocks: the network has blocks 0 to 3; got '1'"),
        (quick, {"blocks": (1, 1)}, r"blocks: expected each block once; got 1, 1"),
        (quick, {"blocks": ()}, r"blocks: expected at least one block number"),
        (quick, {"top_k": 7}, r"top_k: expected 1 to num_experts = 6; got 7"),
        (quick, {"num_experts": 0}, r"num_experts: expected at least 1; got 0"),
        (quick, {"gamma": 1.5}, r"gamma: expected 0 to 1; got 1.5"),
        (quick, {"gamma": 1.0, "learn_gamma": True}, r"gamma: to be learned"),
        (quick, {"router": "hash"}, r"router: expected one of cosine, linear; got 'hash'"),
        (quick, {"expert_noise": -0.1}, r"expert_noise: expected 0 or more; got -0.1"),
        (quick, {"expert_dropout": 1.0}, r"expert_dropout: expected a share from 0 to below 1; got 1.0"),
    ],
)
def test_refusals(vit, options, message, encoder):
    with pytest.raises(ConfigError, match=message):
        add_moge(vit(), encoder, **{"blocks": (2, 3), **options})


def test_refuses_at_the_call(encoder, lonlat):
    model = small(encoder)
    assert isinstance(model, MoGEViT)
    with pytest.raises(ConfigError, match="it has MoGE blocks already"):
        add_moge(model, encoder)
    with pytest.raises(ConfigError, match="experts: expected all, shared or a number from 0 to 3; got 4"):
        model(IMAGE, lonlat, experts=4)
    with pytest.raises(ConfigError, match="got 4"):
        model(IMAGE, lonlat, experts=("all", 4))
    with pytest.raises(ConfigError, match="a choice for each of the 2 MoGE blocks; got 3"):
        model(IMAGE, lonlat, experts=("all", 1, 2))
    with pytest.raises(ConfigError, match="lonlat: this network needs places"):
        model(IMAGE)
