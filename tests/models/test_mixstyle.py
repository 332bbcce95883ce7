"""Mixed styles against their definition, and where they are mixed."""

import pytest
import timm
import torch
from torch import nn

from geomoe.errors import ConfigError
from geomoe.models import create_backbone, create_network
from geomoe.models.mixstyle import mix_styles, mixing, style_points


def literal(values, share, partner):
    """Sample by sample and channel by channel; values (B, C, positions)."""
    out = torch.empty_like(values)
    for i, j in enumerate(partner.tolist()):
        lam = share[i]
        for c in range(values.shape[1]):
            (own, other) = (values[k, c].detach() for k in (i, j))
            mean = lam * own.mean() + (1 - lam) * other.mean()
            spread = [(one.var() + 1e-6).sqrt() for one in (own, other)]
            deviation = lam * spread[0] + (1 - lam) * spread[1]
            out[i, c] = (values[i, c] - own.mean()) / spread[0] * deviation + mean
    return out


def test_values_and_gradient():
    maps = torch.randn(4, 3, 5, 2, dtype=torch.float64, requires_grad=True)
    share, partner = torch.rand(4, dtype=torch.float64), torch.tensor([2, 1, 3, 0])
    want = literal(maps.flatten(2), share, partner).view_as(maps)
    weight = torch.randn_like(maps)
    (slope,) = torch.autograd.grad((want * weight).sum(), maps)
    layouts = {
        (2, 3): lambda x: x,
        (1, 2): lambda x: x.permute(0, 2, 3, 1),  # channels last
        (1,): lambda x: x.flatten(2).transpose(1, 2),  # tokens
    }
    for axes, view in layouts.items():
        got = mix_styles(view(maps), share, partner, axes)
        torch.testing.assert_close(got, view(want))
        (found,) = torch.autograd.grad((got * view(weight)).sum(), maps)
        torch.testing.assert_close(found, slope)


def test_golden_vector():
    """(0, 2) has mean 1 and variance 2, (10, 18) has 14 and 32; halves: mean 7.5, deviation 2.5 sqrt 2."""
    maps = torch.tensor([[[0.0, 2.0]], [[10.0, 18.0]]], dtype=torch.float64)
    out = mix_styles(maps, torch.tensor([0.5, 1.0]), torch.tensor([1, 0]), (2,))
    want = torch.tensor([[[5.0, 10.0]], [[10.0, 18.0]]], dtype=torch.float64)
    torch.testing.assert_close(out, want, rtol=1e-6, atol=0)  # 1e-6 is added to variances


def test_the_style_is_the_partners_where_the_own_share_is_zero():
    maps = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    out = mix_styles(maps, torch.zeros(2), torch.tensor([1, 0]), (2, 3))
    torch.testing.assert_close(out.mean(dim=(2, 3)), maps.flip(0).mean(dim=(2, 3)))
    torch.testing.assert_close(out.std(dim=(2, 3)), maps.flip(0).std(dim=(2, 3)), rtol=1e-5, atol=1e-5)
    same = mix_styles(maps, torch.ones(2), torch.tensor([1, 0]), (2, 3))
    torch.testing.assert_close(same, maps)


def test_one_position_has_no_deviation():
    maps = torch.randn(2, 3, 1, 1)
    out = mix_styles(maps, torch.zeros(2), torch.tensor([1, 0]), (2, 3))
    torch.testing.assert_close(out, maps.flip(0))


def names(network, stages):
    found = style_points(network, stages)
    return [name for point in found for name, module in network.named_modules() if module is point]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("resnet18", ["layer1", "layer2", "layer3"]),
        ("densenet121", ["features.denseblock1", "features.denseblock2", "features.denseblock3"]),
        ("convnext_atto", ["stages.0", "stages.1", "stages.2"]),
        ("vit_tiny_patch16_224", ["blocks.2", "blocks.5", "blocks.8"]),
    ],
)
def test_points_behind_the_first_stages(name, want):
    network = timm.create_model(name)
    assert names(network, 3) == want
    assert names(network, 1) == want[:1]


def test_points_of_geomoes_own_networks():
    cnn = create_network("mnist_cnn", num_classes=3, image_size=8)
    assert names(cnn, 2) == ["norm1", "norm2"]
    cnn.feature_info = cnn.feature_info[:3]  # as if it had three stages
    assert names(cnn, 3) == ["norm1", "norm2"], "never after the last one"
    assert names(create_backbone("vit_quick", num_classes=3, image_size=16), 3)


def test_a_network_that_does_not_tell_its_stages_is_refused():
    with pytest.raises(ConfigError, match="timm lists no stages of Linear"):
        style_points(nn.Linear(2, 2), 3)


def test_stages_that_answer_with_no_map_are_refused():
    network = timm.create_model("resnet18")
    network.layer1.register_forward_hook(lambda module, given, out: out.flatten(1))
    draw = lambda: (torch.ones(2), torch.arange(2))  # noqa: E731
    with mixing(network, 1, draw), pytest.raises(ConfigError, match="ResNet return no map of features"):
        network(torch.zeros(2, 3, 32, 32))


def test_class_tokens_are_left_alone():
    vit = create_backbone("vit_quick", num_classes=3, image_size=16).eval()
    (point,) = style_points(vit, 1)
    before, after = [], []
    point.register_forward_hook(lambda module, given, out: before.append(out))
    with mixing(vit, 1, lambda: (torch.zeros(2), torch.tensor([1, 0]))):
        point.register_forward_hook(lambda module, given, out: after.append(out))
        vit(torch.randn(2, 3, 16, 16))
    first = vit.num_prefix_tokens
    want = mix_styles(before[0][:, first:], torch.zeros(2), torch.tensor([1, 0]), (1,))
    torch.testing.assert_close(after[0][:, first:], want)
    assert torch.equal(after[0][:, :first], before[0][:, :first])
