"""Pretrained weights: files in the formats that timm, DeiT, torchgeo and Lightning write."""

from __future__ import annotations

import logging
import os
import pickle
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file

from geomoe.errors import CheckpointError, ConfigError, DependencyNotFoundError
from geomoe.models import add_moge, create_backbone, load_backbone
from geomoe.models.backbone_weights import read_state

TINY = "vit_tiny_patch16_224"
TORCHGEO = "ViTSmall16_Weights.SENTINEL2_ALL_MOCO"


@pytest.fixture(scope="module")
def trained():
    """ViT-Tiny as timm publishes it: 224 px, 3 bands, 1000 classes; weights that are not the initial ones."""
    torch.manual_seed(7)
    return timm.create_model(TINY).eval()


def tiny(weights, **options):
    return create_backbone(
        TINY, **{"num_classes": 1000, "image_size": 224, "weights": str(weights), **options}
    ).eval()


def save(kind, state, folder):
    """Write a state dict as its publisher does."""
    if kind == "safetensors":
        save_file(state, folder / "model.safetensors")
        return folder / "model.safetensors"
    wrapped = {
        "timm.pth": state,
        "timm.bin": state,
        "deit.pth": {"model": state},
        "train.pth.tar": {"epoch": 3, "arch": TINY, "state_dict": state, "optimizer": {"lr": 0.1}},
        "parallel.pt": {f"module.{key}": value for key, value in state.items()},
        "lightning.ckpt": {
            "state_dict": {f"model.{key}": value for key, value in state.items()}
            | {"criterion.weight": torch.ones(2)},
            "hyper_parameters": {"lr": 0.1},
        },
        "geomoe.ckpt": {
            "state_dict": {f"algorithm.model.backbone.{key}": value for key, value in state.items()}
            | {"algorithm.model.layers.8.router.codebook": torch.ones(6, 8)},
            "geomoe": {"format": 1},
        },
    }[kind]
    torch.save(wrapped, folder / kind)
    return folder / kind


@pytest.mark.parametrize(
    "kind",
    [
        "timm.pth",
        "timm.bin",
        "safetensors",
        "deit.pth",
        "train.pth.tar",
        "parallel.pt",
        "lightning.ckpt",
        "geomoe.ckpt",
    ],
)
def test_every_layout_gives_the_network_that_was_saved(kind, trained, tmp_path):
    loaded = tiny(save(kind, trained.state_dict(), tmp_path))
    image = torch.randn(1, 3, 224, 224)
    assert torch.equal(loaded(image), trained(image))


def test_pretrained_weights_stay_as_they_are_under_moge(trained, tmp_path, encoder):
    loaded = tiny(save("timm.pth", trained.state_dict(), tmp_path), num_classes=5)
    model = add_moge(loaded, encoder)
    for name, value in trained.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(model.backbone.state_dict()[name], value)


def test_other_classes_start_a_new_head_and_say_so(trained, tmp_path, caplog):
    file = save("timm.pth", trained.state_dict(), tmp_path)
    with caplog.at_level(logging.WARNING):
        loaded = tiny(file, num_classes=12)
    assert loaded(torch.randn(1, 3, 224, 224)).shape == (1, 12)
    assert "no fitting head.weight, head.bias; these are newly initialised" in caplog.text
    assert torch.equal(loaded.blocks[3].mlp.fc1.weight, trained.blocks[3].mlp.fc1.weight)


def test_a_file_without_a_head_is_welcome(trained, tmp_path):
    state = {key: value for key, value in trained.state_dict().items() if not key.startswith("head.")}
    loaded = tiny(save("safetensors", state, tmp_path), num_classes=4)
    assert torch.equal(loaded.cls_token, trained.cls_token)


@pytest.mark.slow
def test_other_sizes_are_adapted_as_timm_does(trained, tmp_path):
    """timm's own loader, told to take the same file, has to end at the same tensors."""
    file = save("timm.pth", trained.state_dict(), tmp_path)
    sizes = {"img_size": 64, "patch_size": 8, "in_chans": 4, "num_classes": 5}
    theirs = timm.create_model(TINY, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, **sizes)
    ours = tiny(file, image_size=64, patch_size=8, bands=4, num_classes=5)
    for name, value in theirs.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(ours.state_dict()[name], value), name


def test_quick_weights_at_another_image_size(tmp_path):
    quick = create_backbone("vit_quick", num_classes=3, image_size=32)
    torch.save(quick.state_dict(), tmp_path / "quick.pth")
    same = create_backbone("vit_quick", num_classes=3, image_size=32, weights=str(tmp_path / "quick.pth"))
    assert all(torch.equal(a, same.state_dict()[name]) for name, a in quick.state_dict().items())
    larger = create_backbone("vit_quick", num_classes=3, image_size=64, weights=str(tmp_path / "quick.pth"))
    assert larger.pos_embed.shape == (1, 64, 64)
    assert torch.equal(larger.patch_embed.layers[0].weight, quick.patch_embed.layers[0].weight)


def test_all_faults_are_named_together_and_nothing_is_loaded(trained):
    state = dict(trained.state_dict())
    del state["blocks.2.norm1.weight"], state["norm.bias"]
    state["blocks.0.mlp.fc1.weight"] = torch.zeros(700, 192)
    state["dist_token"] = torch.zeros(1, 1, 192)
    vit = create_backbone(TINY, num_classes=1000, image_size=224)
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_backbone(vit, state, where="file.pth")
    message = str(caught.value)
    assert message.startswith("file.pth: weights of another network: ")
    assert "missing: blocks.2.norm1.weight, norm.bias" in message
    assert "unexpected: dist_token" in message
    assert "misshaped: blocks.0.mlp.fc1.weight (700, 192) in the file, (768, 192) in the model" in message
    assert "\n" not in message
    assert all(torch.equal(value, before[name]) for name, value in vit.state_dict().items())


@pytest.mark.slow
def test_weights_of_a_larger_network_are_refused(trained, tmp_path):
    file = save("timm.pth", timm.create_model("vit_small_patch32_224", img_size=64).state_dict(), tmp_path)
    with pytest.raises(CheckpointError, match=r"another network: misshaped: .* and \d+ more"):
        tiny(file)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path):
    trap = tmp_path / "executed"
    torch.save({"state_dict": Hostile(str(trap))}, tmp_path / "a.ckpt")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Hostile(str(trap))))
    for name in ("a.ckpt", "b.pth"):
        with pytest.raises(CheckpointError, match=f"{name}: refused, nothing was executed"):
            read_state(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pth", None, "no such file; give a local weights file, timm or torchgeo:NAME"),
        ("empty.pth", b"", "empty file"),
        ("noise.pth", b"\x00\x01\x02 not a checkpoint", "noise.pth: "),
        ("cut.pth", "cut", "truncated or corrupt"),
        ("noise.safetensors", b"\x00\x01\x02 not a checkpoint", "noise.safetensors: truncated or corrupt"),
        ("weights.npz", b"PK", "unknown type of weights file '.npz'"),
        ("list.pth", [1, 2], "expected a dict of tensors; got list"),
        ("foreign.pth", {"layer1.weight": torch.ones(1)}, "not the weights of a vision transformer"),
    ],
)
def test_files_that_are_refused(name, content, message, trained, tmp_path):
    file = tmp_path / name
    if content == "cut":
        torch.save(trained.state_dict(), file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(CheckpointError, match=message) as caught:
        tiny(file)
    assert "\n" not in str(caught.value)


@pytest.fixture
def torchgeo_cache(tmp_path, monkeypatch):
    """torch.hub's cache as an earlier download leaves it; returns where the weights' file belongs."""
    torchgeo_models = pytest.importorskip("torchgeo.models")
    url = torchgeo_models.get_weight(TORCHGEO).url
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / url.rsplit("/", 1)[1]


@pytest.mark.slow
def test_torchgeo_weights_by_name(torchgeo_cache, caplog):
    """A momentum-contrast file: 13 bands, no classifier, as torchgeo's loader accepts it."""
    source = timm.create_model("vit_small_patch16_224", in_chans=13, num_classes=0)
    torch.save({k: v for k, v in source.state_dict().items() if not k.startswith("norm.")}, torchgeo_cache)
    options = {"num_classes": 12, "image_size": 224, "bands": 13, "weights": f"torchgeo:{TORCHGEO}"}
    vit = create_backbone("vit_small_patch16_224", **options)
    assert torch.equal(vit.blocks[7].attn.qkv.weight, source.blocks[7].attn.qkv.weight)
    assert torch.equal(vit.patch_embed.proj.weight, source.patch_embed.proj.weight)
    assert "no fitting norm.weight, norm.bias, head.weight, head.bias" in caplog.text


@pytest.mark.slow
def test_torchgeo_weights_that_do_not_fit(torchgeo_cache, monkeypatch):
    def create(name="vit_small_patch16_224", bands=13, weights=TORCHGEO):
        create_backbone(name, num_classes=2, image_size=32, bands=bands, weights=f"torchgeo:{weights}")

    with pytest.raises(
        ConfigError, match="is for vit_small_patch16_224; the backbone is vit_tiny_patch16_224"
    ):
        create(TINY)
    with pytest.raises(ConfigError, match="reads 13 bands; the images have 3"):
        create(bands=3)
    with pytest.raises(ConfigError, match=f"nearest: {TORCHGEO}"):
        create(weights="ViTSmall16_Weights.SENTINEL2_MOCO")
    monkeypatch.setenv("GEOMOE_OFFLINE", "1")
    with pytest.raises(
        CheckpointError,
        match=r"not in the cache, and downloads are switched off \(GEOMOE_OFFLINE\); give a local file",
    ):
        create()
    torchgeo_cache.write_bytes(b"broken")
    with pytest.raises(
        CheckpointError, match=f"torchgeo's {TORCHGEO} failed|torchgeo's {TORCHGEO} did not load"
    ):
        create()


def test_torchgeo_absent_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchgeo", None)
    monkeypatch.setitem(sys.modules, "torchgeo.models", None)
    with pytest.raises(DependencyNotFoundError, match="pip install torchgeo"):
        create_backbone(
            "vit_small_patch16_224", num_classes=2, image_size=32, bands=13, weights=f"torchgeo:{TORCHGEO}"
        )


def test_timm_weights_from_the_cache(trained, tmp_path, monkeypatch):
    """Offline, what an earlier download left in the hub's cache is used."""
    folder = tmp_path / "models--timm--vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(trained.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setenv("GEOMOE_OFFLINE", "1")
    loaded = tiny("timm", num_classes=6)
    assert torch.equal(loaded.blocks[5].mlp.fc2.weight, trained.blocks[5].mlp.fc2.weight)
    assert loaded.head.out_features == 6
    with pytest.raises(ConfigError, match=r"image_size: .* patches of 16 px; 40 is no multiple"):
        create_backbone("vit_tiny_patch16_224", num_classes=6, image_size=40, weights="timm")
