"""Stacked experts are copies of a feed-forward network, each run on its own rows."""

from __future__ import annotations

import pytest
import torch
from timm.layers import GluMlp, Mlp
from torch import nn

from geomoe.errors import ConfigError
from geomoe.moe import StackedFFN, StackedLinear


def test_every_expert_is_the_network_itself_without_noise():
    ffn = Mlp(5, 7).double()
    experts, x = StackedFFN(ffn, 3, noise=0.0), torch.randn(4, 5, dtype=torch.float64)
    want = ffn(x)
    assert experts.count == 3
    assert experts.width == 5
    for expert in range(3):
        torch.testing.assert_close(experts.alone(x, expert), want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(experts.everywhere(x), want.expand(3, -1, -1), rtol=1e-12, atol=1e-12)


def test_rows_of_any_number_and_gradients_of_experts_without_rows():
    experts, x = StackedFFN(Mlp(5, 7), 3, noise=0.5), torch.randn(4, 5)
    outputs = experts([x[:1], x[:0], x[1:]])
    assert [len(one) for one in outputs] == [1, 0, 3]
    torch.testing.assert_close(outputs[2], experts.alone(x, 2)[1:])
    torch.cat(outputs).sum().backward()
    for value in experts.parameters():
        assert not value.grad[1].any()
        assert value.grad[0].any()


def test_noise_and_dropout():
    torch.manual_seed(0)
    ffn = Mlp(64, 256)
    weight = StackedFFN(ffn, 4, noise=0.1).first.weight
    gap = (weight - ffn.fc1.weight).std(dim=(1, 2)) / ffn.fc1.weight.std()
    torch.testing.assert_close(gap, torch.full((4,), 0.1), rtol=0.05, atol=0)
    experts, x = StackedFFN(ffn, 2, noise=0.0, dropout=0.5), torch.randn(3, 64)
    assert not torch.equal(experts.train().alone(x, 0), experts.alone(x, 0))
    assert torch.equal(experts.eval().alone(x, 0), experts.alone(x, 1))


def test_a_network_without_biases_gives_experts_whose_biases_begin_at_zero():
    ffn = Mlp(5, 7, bias=False)
    experts, x = StackedFFN(ffn, 2, noise=0.0), torch.randn(4, 5)
    torch.testing.assert_close(experts.alone(x, 1), ffn(x))


@pytest.mark.parametrize(
    ("ffn", "options", "message"),
    [
        (
            GluMlp(8, 16),
            {},
            r"experts: expected an FFN of .* \(timm's Mlp\); got a GluMlp",
        ),
        (nn.Linear(3, 3), {}, "experts: expected an FFN of linear.*; got a Linear"),
        (Mlp(8, 16, norm_layer=nn.LayerNorm), {}, "experts: expected an FFN of linear.*; got a Mlp"),
        (Mlp(8), {"dropout": 1.0}, "dropout: expected a share from 0 to below 1; got 1.0"),
        (Mlp(8), {"count": 0}, "num_experts: expected at least 1; got 0"),
        (Mlp(8), {"noise": -1.0}, "expert_noise: expected 0 or more; got -1.0"),
    ],
)
def test_refusals(ffn, options, message):
    with pytest.raises(ConfigError, match=message):
        StackedFFN(ffn, **{"count": 2} | options)


def test_parallel_layers_are_layers():
    layer, x = StackedLinear(3, 5, 2), torch.randn(3, 4, 5)
    for k, (weight, bias) in enumerate(layer.each()):
        torch.testing.assert_close(layer(x)[k], x[k] @ weight.T + bias)
