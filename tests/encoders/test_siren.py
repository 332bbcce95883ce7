"""SIREN against its formula."""

from __future__ import annotations

import pytest
import torch

from geomoe.encoders import SirenNet
from geomoe.errors import ConfigError


def test_equals_its_formula():
    net = SirenNet(7, 11, 5, 3, w0=2.0, w0_initial=30.0).double()
    x = torch.randn(13, 7, dtype=torch.float64)
    value = x
    for layer, frequency in zip(net.layers, (30.0, 2.0, 2.0), strict=True):
        value = torch.sin(frequency * (value @ layer.weight.T + layer.bias))
    value = value @ net.last_layer.weight.T + net.last_layer.bias
    torch.testing.assert_close(net(x), value, rtol=0, atol=1e-13)
    with torch.no_grad():  # the in-place path
        torch.testing.assert_close(net(x), value.detach(), rtol=0, atol=1e-13)
    assert torch.autograd.gradcheck(net, (x.requires_grad_(True),))


def test_initialisation_is_the_papers():
    net = SirenNet(100, 200, 50, 2, w0=4.0)
    for parameter, bound in [
        (net.layers[0].weight, 1 / 100),
        (net.layers[1].weight, (6 / 200) ** 0.5 / 4),
        (net.layers[1].bias, (6 / 200) ** 0.5 / 4),
        (net.last_layer.weight, (6 / 200) ** 0.5),
    ]:
        largest = float(parameter.detach().abs().max())
        assert 0.95 * bound < largest <= bound


def test_dropout_in_training_only():
    net = SirenNet(4, 64, 8, 2, dropout=0.5)
    x = torch.randn(3, 4)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 4, 4), {}, "expected positive sizes; got dim_in=0"),
        ((4, 0, -1), {}, "dim_hidden=0, dim_out=-1"),
        ((4, 4, 4, 0), {}, "num_layers=0"),
        ((4, 4, 4), {"dropout": 1.0}, r"expected a dropout in \[0, 1\); got 1.0"),
    ],
)
def test_refusals(arguments, options, message):
    with pytest.raises(ConfigError, match=message):
        SirenNet(*arguments, **options)
