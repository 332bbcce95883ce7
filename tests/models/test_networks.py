"""Networks that are no plain vision transformer: features, classifiers, weights, refusals."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from geomoe.catalogue import METHODS
from geomoe.errors import CheckpointError, ConfigError, InputError
from geomoe.models import (
    LocationNetwork,
    PlainNetwork,
    add_moge,
    create_backbone,
    create_network,
    load_network,
)
from geomoe.models.networks import check_network, classify, pooled_features, width
from geomoe.models.table import NETWORKS

#: Families that differ in how they pool and where their classifier is; the smallest of each.
NAMES = ("test_resnet", "test_efficientnet", "test_convnext", "mobilenetv3_small_050", "regnetx_002")


def small(name="test_resnet", **options):
    return create_network(name, **{"num_classes": 5, "image_size": 64, **options})


@pytest.mark.parametrize("name", NAMES)
def test_features_and_scores_are_the_networks_own(name, encoder, lonlat):
    torch.manual_seed(0)
    network = small(name, bands=4).eval()
    image = torch.randn(3, 4, 64, 64)
    expected = network(image)
    output = PlainNetwork(network)(image, lonlat)
    torch.testing.assert_close(output.logits, expected)
    assert output.features.shape == (3, width(network))
    torch.testing.assert_close(classify(network, output.features), output.logits)

    located = LocationNetwork(network, encoder).eval()
    found = located(image, lonlat[:3])
    torch.testing.assert_close(found.features, output.features)
    assert found.logits.shape == (3, 5)
    both = torch.cat(
        [functional.layer_norm(v, v.shape[1:]) for v in (output.features, encoder(lonlat[:3]))], dim=1
    )
    torch.testing.assert_close(found.logits, functional.linear(both, located.head.weight, located.head.bias))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_the_papers_networks(name):
    network = small(name)
    image = torch.randn(2, 3, 64, 64)
    output = PlainNetwork(network.eval())(image)
    torch.testing.assert_close(output.logits, network(image))
    assert output.features.shape == (2, {"resnet50": 2048, "densenet121": 1024}[name])


def test_every_weight_gets_a_gradient(encoder, lonlat):
    for model in (PlainNetwork(small()), LocationNetwork(small(), encoder)):
        model(torch.randn(8, 3, 64, 64), lonlat).logits.square().sum().backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["vit_quick", "vit_tiny_patch16_224"])
def test_a_vision_transformer_is_the_one_of_create_backbone(name):
    options = {"num_classes": 3, "image_size": 32, "drop_path": 0.1}
    torch.manual_seed(4)
    own = create_network(name, **options)
    torch.manual_seed(4)
    other = create_backbone(name, **options)
    assert type(own) is type(other)
    assert own.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(value, own.state_dict()[key]) for key, value in other.state_dict().items())


@pytest.mark.slow
def test_networks_of_a_fixed_size_are_built_for_the_images():
    network = small("swin_tiny_patch4_window7_224", image_size=112)
    assert PlainNetwork(network)(torch.randn(1, 3, 112, 112)).features.shape == (1, 768)


def test_domainbeds_network_for_digits(encoder, lonlat):
    network = create_network("mnist_cnn", num_classes=2, image_size=28, bands=2)
    image = torch.randn(8, 2, 28, 28)
    assert torch.equal(PlainNetwork(network)(image).logits, network(image))
    assert LocationNetwork(network, encoder)(image, lonlat).features.shape == (8, 128)


def test_stochastic_depth_reaches_the_network():
    assert "drop_prob=0.300" in str(small("resnet50", drop_path=0.3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet5O", {}, "backbone: no vit_quick and no timm model is called 'resnet5O'; nearest: resnet50"),
        ("mnist_ccn", {}, "'mnist_ccn'; nearest: mnist_cnn"),
        ("resnet18", {"patch_size": 8}, "patch_size: resnet18 has no patches to choose; .* got 8"),
        ("densenet121", {"drop_path": 0.1}, "drop_path: densenet121 has no stochastic depth; .* got 0.1"),
        ("mnist_cnn", {"drop_path": 0.1}, "drop_path: mnist_cnn has no stochastic depth"),
        ("mnist_cnn", {"weights": "timm"}, "weights: mnist_cnn has no published weights"),
        ("densenet121", {"image_size": 16}, r"densenet121 gives no pooled features .* images of 16 px \("),
        ("dla34", {}, "backbone: dla34 gives no pooled features"),
        ("volo_d1_224", {"image_size": 224}, "volo_d1_224 has no single classifier"),
        ("efficientformer_l1", {"image_size": 224}, "backbone: EfficientFormer has several classifiers"),
        ("deit_tiny_distilled_patch16_224", {}, "a distilled DeiT has two heads on two tokens"),
        ("resnet18", {"bands": 0}, "bands: expected at least 1; got 0"),
    ],
)
def test_refusals(name, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        small(name, **options)
    assert "\n" not in str(caught.value)


def test_moge_needs_a_vision_transformer(encoder):
    with pytest.raises(
        ConfigError, match=r"resnet50 is not one of timm's ViT, .* any network is taken by"
    ) as one:
        create_backbone("resnet50", num_classes=2, image_size=64)
    named = str(one.value).rpartition("taken by ")[2].split(", ")
    methods = {name: entry for name, entry in METHODS.items() if not entry.wrapper}
    assert named == [name for name, entry in methods.items() if not NETWORKS[entry.network].vit]
    assert {"erm", "erm_le", "swad", "messi_ot", "gmoe", "le_token"} & set(named) == {
        "erm", "erm_le", "messi_ot",
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"expected a timm VisionTransformer, .*; got ResNet"):
        add_moge(small("resnet18"), encoder)


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 4, 64, 64), (2, 3)])
def test_refuses_images_of_other_bands(shape):
    with pytest.raises(InputError, match=r"image: the network reads \(B, 3, H, W\); got"):
        pooled_features(small(), torch.zeros(shape))


def test_a_network_without_timms_interface_is_refused():
    with pytest.raises(ConfigError, match="Conv2d has no forward_features, forward_head, get_classifier"):
        check_network(torch.nn.Conv2d(1, 1, 1))


# --- weights ------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """A file of weights for 3 bands and 7 classes, and the network that has them."""
    torch.manual_seed(1)
    network = timm.create_model("resnet18", num_classes=7)
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    return network.eval(), str(path)


@pytest.mark.slow
def test_a_local_file(stored):
    network, path = stored
    own = small("resnet18", num_classes=7, weights=path).eval()
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(own(image), network(image))


@pytest.mark.slow
def test_other_classes_start_anew_and_the_log_says_so(stored, caplog):
    network, path = stored
    torch.manual_seed(2)
    own = small("resnet18", weights=path).eval()
    image = torch.randn(2, 3, 64, 64)
    expected = network.forward_head(network.forward_features(image), pre_logits=True)
    assert torch.equal(pooled_features(own, image), expected)
    assert "no fitting fc.bias, fc.weight; these are newly initialised" in caplog.text


@pytest.mark.slow
def test_three_bands_are_spread_over_more(stored, caplog):
    network, path = stored
    own = small("resnet18", num_classes=7, bands=6, weights=path).eval()
    image = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(own(image.repeat(1, 2, 1, 1)), network(image), rtol=1e-3, atol=1e-4)
    assert "the first convolution of 3 bands is spread over 6" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap", [lambda s: {"model": s}, lambda s: {f"net.backbone.{k}": v for k, v in s.items()}]
)
def test_states_inside_others(stored, wrap):
    network, _ = stored
    own = small("resnet18", num_classes=7)
    load_network(own, wrap(network.state_dict()))
    assert all(torch.equal(value, own.state_dict()[key]) for key, value in network.state_dict().items())


def test_a_vision_transformers_weights_go_the_old_way():
    vit, other = (create_network("vit_quick", num_classes=2, image_size=32) for _ in range(2))
    load_network(vit, other.state_dict())
    assert all(torch.equal(value, vit.state_dict()[key]) for key, value in other.state_dict().items())


@pytest.mark.slow
def test_foreign_weights_are_refused_and_change_nothing(stored):
    network, path = stored
    state = dict(network.state_dict())
    del state["layer1.0.conv1.weight"]
    state["extra"] = torch.zeros(1)
    state["layer2.0.bn1.bias"] = torch.zeros(3)
    own = small("resnet18")
    before = {key: value.clone() for key, value in own.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_network(own, state, where="file")
    assert str(caught.value) == (
        "file: weights of another network: missing: layer1.0.conv1.weight; unexpected: extra; "
        "misshaped: layer2.0.bn1.bias (3,) in the file, (128,) in the model"
    )
    assert all(torch.equal(before[key], value) for key, value in own.state_dict().items())
    with pytest.raises(CheckpointError, match=r"not the weights of this network: it has no conv1\.weight"):
        load_network(own, create_backbone("vit_quick", num_classes=2, image_size=32).state_dict())
    with pytest.raises(CheckpointError, match="weights of another network"):
        small("resnet34", weights=path)


def test_timm_weights_offline_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("GEOMOE_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="not in the cache, and downloads are switched off"):
        small("resnet18", weights="timm")


def test_torchgeo_weights_of_another_network_are_refused():
    with pytest.raises(
        ConfigError, match=r"ResNet50_Weights\.SENTINEL2_ALL_MOCO is for resnet50; the backbone is"
    ):
        small("resnet18", bands=13, weights="torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO")
