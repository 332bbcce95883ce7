"""Backbones by name."""

from __future__ import annotations

import pytest
import timm
import torch

from geomoe.errors import CheckpointError, ConfigError
from geomoe.models import create_backbone


def test_quick_is_small_and_has_sixteen_tokens():
    vit = create_backbone("vit_quick", num_classes=12, image_size=32)
    assert len(vit.blocks) == 4
    assert 200_000 < sum(p.numel() for p in vit.parameters()) < 240_000
    assert vit.forward_features(torch.randn(2, 3, 32, 32)).shape == (2, 16, 64)
    assert vit(torch.randn(2, 3, 32, 32)).shape == (2, 12)


@pytest.mark.parametrize(("image_size", "patch_size", "tokens"), [(64, None, 64), (32, 4, 64), (40, 8, 25)])
def test_quick_in_other_sizes(image_size, patch_size, tokens):
    vit = create_backbone("vit_quick", num_classes=2, image_size=image_size, patch_size=patch_size, bands=5)
    assert vit.forward_features(torch.randn(1, 5, image_size, image_size)).shape[1] == tokens


def test_a_token_of_the_quick_stem_sees_its_own_patch():
    stem = create_backbone("vit_quick", num_classes=2, image_size=32).patch_embed.eval()
    image = torch.randn(1, 3, 32, 32)
    changed = image.clone()
    changed[:, :, 8:16, 24:32] += 1
    moved = (stem(image) - stem(changed)).abs().amax(2).view(4, 4)
    assert moved.argmax() == 1 * 4 + 3


def test_timm_names_take_sizes_and_bands():
    vit = create_backbone(
        "vit_tiny_patch16_224", num_classes=7, image_size=32, patch_size=8, bands=4, drop_path=0.2
    )
    assert vit(torch.randn(2, 4, 32, 32)).shape == (2, 7)
    assert vit.forward_features(torch.randn(1, 4, 32, 32)).shape == (1, 17, 192)
    assert vit.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)
    assert type(vit) is timm.models.vision_transformer.VisionTransformer


def test_same_seed_same_weights():
    torch.manual_seed(3)
    a = create_backbone("vit_quick", num_classes=2, image_size=32).state_dict()
    torch.manual_seed(3)
    b = create_backbone("vit_quick", num_classes=2, image_size=32).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "vit_tniy_patch16_224",
            {},
            "no timm model is called 'vit_tniy_patch16_224'; nearest: vit_tiny_patch16",
        ),
        (
            "resnet50",
            {},
            r"resnet50 is not one of timm's ViT, .*\(it is a convolutional network without FFNs",
        ),
        ("swin_tiny_patch4_window7_224", {}, r"\(its stages change the number and the width of the tokens\)"),
        ("vit_relpos_small_patch16_224", {}, r"\(its blocks encode positions in their own way\)"),
        ("gmlp_s16_224", {}, r"\(it has no attention"),
        ("tnt_s_patch16_224", {}, r"\(it belongs to none of the families whose blocks can hold experts\)"),
        ("mnist_cnn", {}, "backbone: mnist_cnn is not one of timm's ViT, .* try vit_quick"),
        ("vit_quick", {"image_size": 33}, "image_size: .* 33"),
        ("vit_tiny_patch16_224", {"image_size": 40}, "image_size: .* 40"),
        ("vit_quick", {"patch_size": 16}, "patch_size: vit_quick has 4 or 8; got 16"),
        ("vit_quick", {"bands": 0}, "bands: expected at least 1; got 0"),
        ("vit_quick", {"num_classes": 0}, "num_classes: expected at least 1; got 0"),
        ("vit_quick", {"drop_path": 1.0}, "drop_path: expected 0 to below 1; got 1.0"),
        ("vit_quick", {"weights": "timm"}, "weights: vit_quick has no published weights"),
        ("vit_quick", {"weights": "torchgeo:X.Y"}, "weights: vit_quick has no published weights"),
    ],
)
def test_refusals(name, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        create_backbone(name, **{"num_classes": 2, "image_size": 32, **options})
    assert "\n" not in str(caught.value)


def test_timm_weights_offline_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for key in ("GEOMOE_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv("GEOMOE_OFFLINE", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv(key, "1")
        message = rf"not in the cache, and downloads are switched off \({key}\)"
        with pytest.raises(CheckpointError, match=message):
            create_backbone("vit_tiny_patch16_224", num_classes=2, image_size=32, weights="timm")


def test_timm_has_no_weights_for_that_name():
    with pytest.raises(CheckpointError, match="weights: timm has none for vit_small_patch16_18x2_224"):
        create_backbone("vit_small_patch16_18x2_224", num_classes=2, image_size=32, weights="timm")
