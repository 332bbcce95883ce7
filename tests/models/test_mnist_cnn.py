"""DomainBed's MNIST_CNN: its size, its order of operations, refusals."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from geomoe.errors import ConfigError, InputError
from geomoe.models.mnist_cnn import MnistCnn


def test_parameters_by_hand():
    # convolutions k*k*in*out + out, group norms 2*out, classifier in*out + out
    convolutions = (9 * 2 * 64 + 64) + (9 * 64 * 128 + 128) + 2 * (9 * 128 * 128 + 128)
    norms = 2 * 64 + 3 * 2 * 128
    model = MnistCnn(2)
    assert sum(p.numel() for p in model.parameters()) == convolutions + norms + (128 * 2 + 2)
    assert model.num_features == 128


def test_forward_is_the_published_chain():
    """Written out with functions, in float64: convolution, ReLU, group norm of 8 groups, four times; mean."""
    model = MnistCnn(3, bands=1).double()
    with torch.no_grad():  # norms that do something
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    image = torch.randn(4, 1, 28, 28, dtype=torch.float64)
    found, value = model.state_dict(), image
    for number, stride in ((1, 1), (2, 2), (3, 1), (4, 1)):
        weight, bias = found[f"conv{number}.weight"], found[f"conv{number}.bias"]
        value = functional.conv2d(value, weight, bias, stride=stride, padding=1).clamp(min=0)
        groups = value.reshape(4, 8, -1)
        mean, variance = groups.mean(-1, keepdim=True), groups.var(-1, correction=0, keepdim=True)
        value = ((groups - mean) / (variance + 1e-5).sqrt()).reshape(value.shape)
        scale, shift = found[f"norm{number}.weight"], found[f"norm{number}.bias"]
        value = value * scale[:, None, None] + shift[:, None, None]
    assert value.shape == (4, 128, 14, 14)
    pooled = value.sum(dim=(2, 3)) / 14**2
    torch.testing.assert_close(model.forward_head(model.forward_features(image), pre_logits=True), pooled)
    torch.testing.assert_close(model(image), pooled @ found["head.weight"].T + found["head.bias"])


def test_classifier_comes_off():
    model = MnistCnn(2)
    model.reset_classifier(0)
    assert model(torch.randn(2, 2, 28, 28)).shape == (2, 128)
    model.reset_classifier(5)
    assert model.get_classifier().out_features == model.num_classes == 5


def test_refusals():
    model = MnistCnn(2)
    for shape in ((2, 28, 28), (1, 3, 28, 28), (1, 2, 1, 28)):
        with pytest.raises(InputError, match=r"the network reads \(B, 2, H, W\)"):
            model(torch.zeros(shape))
    with pytest.raises(ConfigError, match="bands: expected at least 1; got 0"):
        MnistCnn(2, bands=0)
    with pytest.raises(ConfigError, match="num_classes: expected 0 or more; got -1"):
        MnistCnn(-1)
