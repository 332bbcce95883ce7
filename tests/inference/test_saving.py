"""A network of one's own loop: saved, loaded, mapped; and what is not saved."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

import geomoe
from geomoe.errors import CheckpointError, ConfigError, CoordinateError, InputError
from geomoe.models import create_backbone

FACTS = {"classes": ["field", "forest", "town"], "mean": [100.0, 110.0, 90.0], "std": [50.0, 40.0, 60.0]}


def vit(**options):
    return timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=32, **options)


def with_experts(backbone, encoder="sh", **options):
    made = geomoe.create_encoder(encoder, **{"out_dim": 16, "hidden_dim": 24} | options)
    model = geomoe.add_moge(backbone, made, blocks=(3, 5), num_experts=4, top_k=2, gamma=0.3)
    for value in model.parameters():  # as if it had been trained
        torch.nn.init.normal_(value, std=0.05)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "options", "more"),
    [
        ("sh", {"legendre_polys": 6}, {}),
        ("wrap", {}, {"in_chans": 2}),
        ("sh-siren", {"legendre_polys": 4, "noise": 0.1}, {}),
        ("geoclip", {"capsules": (1,)}, {}),
    ],
)
def test_it_comes_back_with_its_answers(encoder, options, more, tmp_path):
    if encoder == "geoclip":
        pytest.importorskip("geoclip")
    model = with_experts(vit(**more), encoder, **options).train()
    bands = more.get("in_chans", 3)
    facts = FACTS | {"mean": FACTS["mean"][:bands], "std": FACTS["std"][:bands]}
    before = torch.get_rng_state()
    path = geomoe.save(model, tmp_path / "own.ckpt", lonlat=[[10, 50], [np.nan, np.nan]], **facts)
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    predictor = geomoe.load(path, device="cpu")
    assert predictor.classes == FACTS["classes"]
    assert predictor.info["places"]["lon"] == [10.0]
    raw = torch.randint(0, 256, (5, bands, 32, 32))
    lonlat = torch.tensor(
        [[10.0, 50.0], [-170.0, -20.0], [float("nan")] * 2, [0.0, 90.0], [179.9, 1.0]]
    ).double()
    found = predictor.predict(raw, lonlat)
    shape = (1, -1, 1, 1)
    image = (raw - torch.tensor(facts["mean"]).reshape(shape)) / torch.tensor(facts["std"]).reshape(shape)
    with torch.no_grad():
        output = model.eval()(image, lonlat)
    torch.testing.assert_close(found.probabilities, output.logits.softmax(dim=1))
    for one, other in zip(found.routings, output.routings, strict=True):
        torch.testing.assert_close(one.weights, other.weights)


#: Of the classes of those two, or with weights of 300 MB.
LARGER = ("vit_small_patch16_dinov3", "vit_small_patch16_rope_mixed_224", "beit_base_patch16_224")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("eva02_tiny_patch14_224", "deit_tiny_distilled_patch16_224"),
        *(pytest.param(name, marks=pytest.mark.long) for name in LARGER),
    ],
)
def test_every_family_comes_back_with_its_answers(name, tmp_path):
    backbone = timm.create_model(name, num_classes=3, img_size=32, patch_size=16)
    model = with_experts(backbone)
    predictor = geomoe.load(geomoe.save(model, tmp_path / "own.ckpt", **FACTS), device="cpu")
    assert type(predictor.model.backbone) is type(backbone)
    image = torch.randn(2, 3, 32, 32)
    lonlat = torch.tensor([[10.0, 50.0], [float("nan")] * 2]).double()
    with torch.no_grad():
        expected = model.eval()(image, lonlat).logits
        assert expected.std() > 0.01
        torch.testing.assert_close(predictor.model.eval()(image, lonlat).logits, expected)


@pytest.mark.slow
def test_a_quick_network_with_a_learned_gamma_and_a_linear_router(tmp_path):
    backbone = create_backbone("vit_quick", num_classes=3, image_size=32)
    model = geomoe.add_moge(
        backbone, geomoe.create_encoder("cartesian3d"), blocks=(1,), router="linear", learn_gamma=True
    )
    with torch.no_grad():
        model.layers["1"].raw_gamma.fill_(1.7)
    back = geomoe.load(geomoe.save(model, tmp_path / "own.ckpt", **FACTS), device="cpu").model
    for name, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.long
def test_the_map_of_a_network_is_that_of_its_checkpoint(tmp_path):
    model = with_experts(vit())
    path = geomoe.save(model, tmp_path / "own.ckpt", **FACTS)
    drawn = [
        geomoe.map_experts(given, tmp_path / str(number), step=10.0, points=False)
        for number, given in enumerate((model, geomoe.load(path, "cpu"), path))
    ]
    for one in drawn[1:]:
        np.testing.assert_array_equal(one.table.weights, drawn[0].table.weights)
    assert drawn[0].files[0].stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (vit, "model: expected what geomoe.add_moge returns; got VisionTransformer"),
        (lambda: with_experts(vit(qk_norm=True)), "model: it cannot be rebuilt from its names"),
        (lambda: with_experts(vit(global_pool="avg", fc_norm=False)), "differently|cannot be rebuilt"),
        (lambda: with_experts(timm.models.VisionTransformer(img_size=32, num_classes=3, depth=6, embed_dim=48,
                                                            num_heads=2)), "its backbone has no name"),
    ],
)  # fmt: skip
def test_what_cannot_be_rebuilt_is_not_saved(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        geomoe.save(make(), tmp_path / "own.ckpt", **FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"classes": ["a"]}, InputError, "classes: the network has 3; got 1 name"),
        ({"mean": [1.0]}, InputError, "mean: expected one number for each band"),
        ({"std": [1.0, 0.0, 1.0]}, InputError, "std: expected one positive number for each band"),
        ({"lonlat": [[200.0, 95.0]]}, CoordinateError, "lat"),
    ],
)
def test_facts_that_do_not_fit(change, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        geomoe.save(with_experts(vit()), tmp_path / "own.ckpt", **FACTS | change)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_arguments_of_other_kinds_are_named():
    model = with_experts(vit())
    with pytest.raises(CoordinateError, match=r"lonlat: expected a tensor .* got ndarray"):
        model(torch.zeros(2, 3, 32, 32), np.zeros((2, 2)))
    with pytest.raises(InputError, match="place: expected one for each of the 2 images; got 3"):
        model(torch.zeros(2, 3, 32, 32), torch.zeros(3, 2, dtype=torch.float64))
    with pytest.raises(ConfigError, match=r"encoder: expected what .* returns; got NoneType"):
        geomoe.add_moge(vit(), None)
    known = torch.zeros(2, 2, dtype=torch.float64)
    with pytest.raises(InputError, match=r"image: expected a tensor \(B, bands, H, W\); got ndarray"):
        model(np.zeros((2, 3, 32, 32)), known)
    with pytest.raises(InputError, match=r"image: expected a tensor \(B, bands, H, W\); got \(3, 32, 32\)"):
        model(torch.zeros(3, 32, 32), known)
    for call in (geomoe.load, geomoe.evaluate, lambda given: geomoe.map_experts(given, "map")):
        for given, name in ((None, "NoneType"), (vit(), "VisionTransformer")):
            with pytest.raises(CheckpointError, match=rf"checkpoint: expected a file .*; got {name}$"):
                call(given)
