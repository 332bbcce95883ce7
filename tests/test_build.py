from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from geomoe.algorithms import Facts, Now, method_class
from geomoe.build import build_datamodule, build_encoder, build_method, build_network
from geomoe.catalogue import ALGORITHMS, METHODS
from geomoe.checkpoint import load_checkpoint, load_weights, save_checkpoint
from geomoe.config import RunConfig
from geomoe.errors import CheckpointError, ConfigError
from geomoe.models import (
    ConditionedNetwork,
    ExpertHeadNetwork,
    FiLMNetwork,
    LocationMLPNetwork,
    LocationNetwork,
    LocationTokenViT,
    MoGEViT,
    PlainNetwork,
    RegionNetworks,
    RelatedHeads,
    TokenMoEViT,
)
from geomoe.types import Batch, Place

INFO = {
    "classes": list("abcdefg"),
    "domains": ["x", "y"],
    "bands": 3,
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
    "held_out": None,
}
NETWORKS = {
    "plain": PlainNetwork,
    "location": LocationNetwork,
    "experts": MoGEViT,
    "expert_head": ExpertHeadNetwork,
    "place_heads": RelatedHeads,
    "group_heads": RelatedHeads,
    "conditioned": ConditionedNetwork,
    "conditioned_by_place": ConditionedNetwork,
    "regions": RegionNetworks,
    "token_experts": TokenMoEViT,
    "orthogonal_experts": TokenMoEViT,
    "top_any_experts": TokenMoEViT,
    "film": FiLMNetwork,
    "location_mlp": LocationMLPNetwork,
    "location_token": LocationTokenViT,
    "experts_le": MoGEViT,
}
FACTS = Facts(
    classes=7,
    domains=(0, 1),
    samples=(5, 3),
    num_domains=2,
    label_smoothing=0.2,
    centres=((0.0, 50.0), (90.0, 10.0)),
)


def _with(config, **sections):
    changed = {name: replace(getattr(config, name), **keys) for name, keys in sections.items()}
    return replace(config, **changed)


def _batch(bands=3, size=32):
    lonlat = torch.tensor([[10.0, 50.0], [float("nan")] * 2], dtype=torch.float64)
    image = torch.randn(2, bands, size, size)
    place = Place.of(lonlat, torch.tensor([0, -1]))
    return Batch(image, torch.tensor([0, 6]), place, torch.arange(2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_built_as_configured(name):
    config = _with(
        replace(RunConfig(), algorithm=name),
        model={"num_experts": 4, "top_k": 2, "moge_blocks": (1,)},
        encoder={"out_dim": 24},
    )
    given = {"cka": 0.3, "supcon_temperature": 0.7}
    config = replace(config, options={name: given} if METHODS[name].network == "experts" else {})
    method = build_method(config, {**INFO, "bands": 5}, FACTS)
    assert type(method) is method_class(name)
    assert type(method.model) is NETWORKS[METHODS[name].network]
    answer = method.losses(_batch(bands=5), Now(0, 1, 0))
    assert answer.output.logits.shape == (2, 7)
    assert answer.total.isfinite()
    if METHODS[name].network == "experts":
        weights = answer.output.routings[0].weights
        assert weights.shape == (2, 4)
        assert ((weights > 0).sum(dim=1) == 2).all()
        assert (method.options.cka, method.options.supcon_temperature) == (0.3, 0.7)


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.network == "expert_head"])
def test_a_head_has_the_sizes_of_the_methods_options(name):
    config = replace(RunConfig(), algorithm=name, options={name: {"experts": 3, "expansion": 2}})
    head = build_network(config, INFO).experts
    assert head.router.out_features == 3
    assert tuple(head.first.weight.shape[:2]) == (3, 2 * head.router.in_features)
    assert len(build_network(replace(config, options={}), INFO).experts.first.weight) == 6


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.title.startswith("MoGE")])
def test_moge_le_alone_has_the_place_at_its_head(name):
    network = build_network(replace(RunConfig(), algorithm=name), INFO)
    assert (network.place_head is not None) == (name == "moge_le")


def test_wrappers_go_around_the_method_in_their_order():
    config = replace(RunConfig(), algorithm="groupdro", around=("swad",), options={"swad": {"ratio": 0.1}})
    method = build_method(config, INFO, FACTS)
    assert type(method) is method_class("swad")
    assert type(method.inner) is method_class("groupdro")
    assert method.options.ratio == 0.1


@pytest.mark.parametrize("name", ["sh", "sh-siren", "wrap", "cartesian3d", "domain"])
def test_every_encoder_is_built(name):
    encoder = build_encoder(_with(RunConfig(), encoder={"name": name, "out_dim": 8}), INFO)
    assert encoder(_batch().place).shape == (2, 8)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_network_comes_back_from_its_checkpoint_alone(tmp_path, name):
    config = replace(RunConfig(), algorithm=name)
    algorithm = build_network(config, INFO).eval()
    path = save_checkpoint(tmp_path / "a.ckpt", algorithm, config, INFO)
    found = load_checkpoint(path)
    again = build_network(found.config, found.info).eval()
    load_weights(again, found.network, path)
    batch = _batch_of(0)
    assert torch.equal(again(batch.image, batch.place).logits, algorithm(batch.image, batch.place).logits)
    other = build_network(config, {**INFO, "classes": list("ab")})
    with pytest.raises(CheckpointError, match=r"misshaped: .*head\.(2\.)?weight"):
        load_weights(other, found.network, path)


def _batch_of(seed):
    torch.manual_seed(seed)
    return _batch()


def test_weights_to_start_from_are_read_only_where_a_run_starts(tmp_path):
    config = _with(
        RunConfig(), model={"weights": str(tmp_path / "gone.pth"), "init_from": str(tmp_path / "gone.ckpt")}
    )
    build_network(config, INFO)
    with pytest.raises(CheckpointError, match=r"gone\.pth"):
        build_network(config, INFO, pretrained=True)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_init_from_takes_the_backbone(tmp_path, name):
    source = replace(RunConfig(), algorithm="erm")
    earlier = build_network(source, INFO)
    path = save_checkpoint(tmp_path / "erm.ckpt", earlier, source, INFO)
    config = _with(replace(source, algorithm=name), model={"init_from": str(path), "expert_noise": 0.0})
    model = build_network(config, INFO, pretrained=True)
    gone = tuple(f"blocks.{block}.mlp." for block in model.blocks) if not model.has_shared else ()
    for key, value in earlier.backbone.state_dict().items():
        own = (
            "location",
            "location_mlp",
            "place_heads",
            "group_heads",
        )  # these have classifiers of their own
        if METHODS[name].network in own and key.startswith("head."):
            continue
        for backbone in model.backbones if not gone or not key.startswith(gone) else ():
            if backbone is model.backbone or not key.startswith("head."):  # a context has no classifier
                assert torch.equal(backbone.state_dict()[key], value), key
    for block in model.blocks if gone else ():
        ffn, experts = earlier.backbone.blocks[block].mlp, model.layers[str(block)].experts
        for one, stacked in ((ffn.fc1, experts.first), (ffn.fc2, experts.second)):
            assert torch.equal(stacked.weight, one.weight.expand_as(stacked.weight))
            assert torch.equal(stacked.bias, one.bias.expand_as(stacked.bias))
    if name == "moge":
        expert = model.layers["2"].experts[3].state_dict()
        for key, value in earlier.backbone.blocks[2].mlp.state_dict().items():
            assert torch.equal(expert[key], value)


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ({}, {}, False),
        ({"held_out": "Asia"}, {"held_out": "Asia"}, False),
        ({"held_out": "Asia"}, {}, False),
        ({}, {"held_out": "Asia"}, True),
        ({"held_out": "Africa"}, {"held_out": "Asia"}, True),
        ({"split_seed": 1}, {}, True),
    ],
)
def test_init_from_may_not_have_seen_what_is_tested(tmp_path, source, target, refused):
    earlier = _with(replace(RunConfig(), algorithm="erm"), data=source)
    path = save_checkpoint(tmp_path / "erm.ckpt", build_network(earlier, INFO), earlier, INFO)
    config = _with(RunConfig(), data=target, model={"init_from": str(path)})
    if refused:
        with pytest.raises(CheckpointError, match="it has seen what this run"):
            build_network(config, INFO, pretrained=True)
    else:
        build_network(config, INFO, pretrained=True)


def test_init_from_another_network_is_refused(tmp_path):
    source = _with(
        replace(RunConfig(), algorithm="erm"), model={"backbone": "vit_tiny_patch16_224", "patch_size": 8}
    )
    path = save_checkpoint(tmp_path / "erm.ckpt", build_network(source, INFO), source, INFO)
    config = _with(RunConfig(), model={"init_from": str(path)})
    with pytest.raises(CheckpointError, match=r"model\.init_from: .*erm\.ckpt") as caught:
        build_network(config, INFO, pretrained=True)
    assert "\n" not in str(caught.value)


def test_the_data_module_is_as_configured():
    config = _with(
        RunConfig(seed=5), data={"held_out": "Africa", "batch_size": 32, "augment": "none", "split_seed": 1}
    )
    data = build_datamodule(config)
    assert (data.batch_size, data.augment, data.seed) == (32, "none", 5)
    assert data.info()["held_out"] == "Africa"
    assert data.info()["split_seed"] == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            replace(RunConfig(), algorithm="mogee"),
            r"algorithm: no algorithm 'mogee'; did you mean moge\? \(known: erm, ",
        ),
        (_with(RunConfig(), model={"backbone": "vit_quik"}), "vit_quick"),
        (_with(RunConfig(), model={"top_k": 9}), "top_k"),
        (_with(RunConfig(), model={"moge_blocks": (4,)}), "0 to 3"),
        (_with(RunConfig(), model={"router": "random"}), "router"),
        (_with(RunConfig(), encoder={"name": "shh"}), "did you mean sh"),
        (RunConfig(options={"moge": {"aux": -1.0}}), "aux: must be at least 0; got -1"),
    ],
)
def test_what_cannot_be_built_is_one_line(config, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build_method(config, INFO, FACTS)
    assert "\n" not in str(caught.value)


def test_an_unknown_data_set_names_the_nearest():
    with pytest.raises(ConfigError, match=r"data\.name: no data set 'bluemable'; did you mean bluemarble\?"):
        build_datamodule(_with(RunConfig(), data={"name": "bluemable"}))
