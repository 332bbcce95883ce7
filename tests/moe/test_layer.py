"""The MoGE layer against a dense float64 reference: every expert on every sample, the poster's formula."""

from __future__ import annotations

import math

import pytest
import torch
from timm.layers import Mlp
from torch import nn

from geomoe.errors import ConfigError
from geomoe.moe import CosineRouter, LinearRouter, MoGELayer, check_experts, copy_experts, create_router

B, N, D, L, E, K = 9, 5, 12, 7, 6, 3


def make(router="cosine", gamma=0.3, learn=False, top_k=K, noise=0.5, dtype=torch.float64):
    torch.manual_seed(1)
    shared = Mlp(D, 2 * D)
    layer = MoGELayer(copy_experts(shared, E, noise), create_router(router, L, E, top_k), gamma, learn)
    return layer.to(dtype), shared.to(dtype)


def inputs(dtype=torch.float64):
    torch.manual_seed(2)
    return torch.randn(B, N, D, dtype=dtype, requires_grad=True), torch.randn(
        B, L, dtype=dtype, requires_grad=True
    )


def dense_gates(layer, embedding):
    """alpha: softmax over the top-k logits, written with a mask instead of a gather."""
    router = layer.router
    if isinstance(router, CosineRouter):
        cosine = torch.nn.functional.cosine_similarity(embedding[:, None], router.codebook[None], dim=2)
        logits = cosine / (0.01 * 100 ** torch.sigmoid(router.raw_temperature))
    else:
        logits = embedding @ router.linear.weight.T + router.linear.bias
    threshold = logits.sort(dim=1, descending=True).values[:, router.top_k - 1 : router.top_k]
    e = torch.where(logits >= threshold, logits.exp(), torch.zeros(()))
    return e / e.sum(1, keepdim=True)


def dense(layer, shared, x, embedding, drop=None):
    """gamma f_0(x) + (1 - gamma) sum_k alpha_k f_k(x), with all experts on all samples."""
    gamma = torch.sigmoid(layer.raw_gamma) if layer.learn_gamma else layer.fixed_gamma
    alpha = dense_gates(layer, embedding)
    y = gamma * shared(x)
    for k, expert in enumerate(layer.experts):
        y = y + (1 - gamma) * alpha[:, k, None, None] * expert(x)
    return y if drop is None else torch.where(drop[:, None, None], shared(x), y)


def gradients(loss, layer, shared, x, embedding):
    named = {**dict(layer.named_parameters()), **{f"shared.{n}": p for n, p in shared.named_parameters()}}
    named |= {"x": x, "embedding": embedding}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("router", ["cosine", "linear"])
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("top_k", [1, 3, 6])
def test_value_and_every_gradient_equal_the_dense_reference(router, learn, top_k):
    layer, shared = make(router, learn=learn, top_k=top_k)
    x, embedding = inputs()
    target = torch.randn(B, N, D, dtype=torch.float64)
    ours, theirs = layer(x, embedding, shared).y, dense(layer, shared, x, embedding)
    assert (ours - theirs).abs().max() < 1e-12
    a = gradients((ours * target).sum(), layer, shared, x, embedding)
    b = gradients((theirs * target).sum(), layer, shared, x, embedding)
    assert len(a) == 6 * 4 + 4 + 2 + 2 + int(learn)
    for name, gradient in a.items():
        assert gradient is not None, name
        assert torch.allclose(gradient, b[name], rtol=1e-9, atol=1e-12), name
    chosen = [k for k in range(E) if dense_gates(layer, embedding)[:, k].max() > 0]
    assert all(a[f"experts.{k}.fc1.weight"].abs().max() > 0 for k in chosen)
    if learn:
        assert a["raw_gamma"].abs() > 0
    if router == "cosine" and top_k > 1:
        assert a["router.codebook"].abs().max() > 0
        assert a["router.raw_temperature"].abs() > 0


def test_expert_dropout_leaves_the_shared_expert_alone():
    layer, shared = make(learn=True)
    x, embedding = inputs()
    drop = torch.arange(B) % 3 == 0
    result = layer(x, embedding, shared, drop=drop)
    reference = dense(layer, shared, x, embedding, drop)
    assert (result.y - reference).abs().max() < 1e-12
    assert torch.equal(result.y[drop], shared(x)[drop])
    a = gradients(result.y.square().sum(), layer, shared, x, embedding)
    b = gradients(reference.square().sum(), layer, shared, x, embedding)
    assert all(torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-11) for name in a)


@pytest.mark.parametrize("drop", [None, torch.ones(B, dtype=torch.bool)])
def test_an_expert_without_samples_gets_zero_gradients_not_none(drop):
    layer, shared = make(top_k=1, learn=True)
    x, _ = inputs()
    embedding = layer.router.codebook[:1].detach().expand(B, -1).clone().requires_grad_()  # all to expert 0
    found = gradients(
        layer(x, embedding, shared, drop=drop, cka_tokens=None).y.sum(), layer, shared, x, embedding
    )
    assert all(g is not None for g in found.values())
    busy = 0 if drop is None else None
    for k in range(E):
        assert (found[f"experts.{k}.fc1.weight"].abs().max() > 0) == (k == busy)


def test_permuting_the_experts_permutes_the_routing_and_nothing_else():
    layer, shared = make()
    x, embedding = inputs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    other = MoGELayer([layer.experts[i] for i in order], CosineRouter(L, E, K), 0.3).double()
    other.router.load_state_dict({**layer.router.state_dict(), "codebook": layer.router.codebook[order]})
    a, b = layer(x, embedding, shared, cka_tokens=0), other(x, embedding, shared, cka_tokens=0)
    assert (a.y - b.y).abs().max() < 1e-12
    assert torch.allclose(a.routing.weights[:, order], b.routing.weights, atol=1e-12)
    assert torch.allclose(a.expert_outputs[order], b.expert_outputs, atol=1e-12)


def test_shared_alone_and_one_forced_expert():
    layer, shared = make(gamma=0.25)  # exact in float32
    x, embedding = inputs()
    alone = layer(x, None, shared, experts="shared")
    assert torch.equal(alone.y, shared(x))
    assert alone.routing is None
    for k in range(E):
        forced = layer(x, None, shared, experts=k)
        assert (forced.y - (0.25 * shared(x) + 0.75 * layer.experts[k](x))).abs().max() < 1e-12
    assert layer(x, embedding, shared, experts=2).routing.weights.shape == (B, E)


@pytest.mark.parametrize("router", ["cosine", "linear"])
def test_copies_without_noise_change_nothing(router):
    layer, shared = make(router, noise=0)
    x, embedding = inputs()
    assert (layer(x, embedding, shared).y - shared(x)).abs().max() < 1e-12


def test_shared_feature_is_the_token_mean_of_the_shared_expert():
    layer, shared = make()
    x, embedding = inputs()
    assert torch.allclose(layer(x, embedding, shared).shared_feature, shared(x).sum(1) / N)
    assert layer(x, embedding, shared, shared_feature=False).shared_feature is None


@pytest.mark.parametrize("tokens", [0, 5, 99])
@pytest.mark.parametrize("experts", ["all", "shared", 2])
def test_expert_outputs_on_all_tokens(tokens, experts):
    layer, shared = make()
    x, embedding = inputs()
    drop = torch.arange(B) % 4 == 0
    result = layer(x, embedding, shared, experts=experts, drop=drop, cka_tokens=tokens)
    reference = torch.stack([expert(x).reshape(B * N, D) for expert in layer.experts])
    assert (result.expert_outputs - reference).abs().max() < 1e-12
    assert (result.y - layer(x, embedding, shared, experts=experts, drop=drop).y).abs().max() < 1e-12


def test_expert_outputs_on_some_tokens_with_gradients():
    """Rows are found again in x by what expert 0 makes of them; then all experts must agree."""
    layer, shared = make()
    x, embedding = inputs()
    result = layer(x, embedding, shared, cka_tokens=2)
    assert result.expert_outputs.shape == (E, B * 2, D)
    every = torch.stack([expert(x) for expert in layer.experts])  # (E, B, N, D)
    rows = result.expert_outputs.view(E, B, 2, D)
    token = (every[0, :, :, None] - rows[0, :, None]).abs().amax(3).argmin(1)  # (B, 2)
    assert (token[:, 0] != token[:, 1]).all()
    expected = every.gather(2, token[None, :, :, None].expand(E, -1, -1, D))
    assert (rows - expected).abs().max() < 1e-12
    weight = torch.randn(E, B, 2, D, dtype=torch.float64)
    a = gradients((rows * weight).sum() + result.y.square().sum(), layer, shared, x, embedding)
    reference = dense(layer, shared, x, embedding).square().sum()
    b = gradients((expected * weight).sum() + reference, layer, shared, x, embedding)
    assert all(torch.allclose(a[name], b[name], rtol=1e-9, atol=1e-11) for name in a)


def test_the_tokens_are_drawn_anew_and_evenly():
    layer, shared = make()
    x = torch.randn(400, N, D, dtype=torch.float64)
    embedding = torch.randn(400, L, dtype=torch.float64)
    rows = layer(x, embedding, shared, cka_tokens=1).expert_outputs[0]
    token = (layer.experts[0](x) - rows[:, None]).abs().amax(2).argmin(1)
    assert (token.bincount(minlength=N) > 40).all()  # 80 expected of each; 40 is 5 sd away


class Counting(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.rows = inner, 0

    def forward(self, x):
        self.rows += x.numel() // x.shape[-1]
        return self.inner(x)


@pytest.mark.parametrize(("tokens", "extra"), [(None, 0), (2, (E - K) * 2), (0, (E - K) * N)])
def test_no_expert_sees_a_row_more_than_needed(tokens, extra):
    layer, shared = make()
    layer.experts = nn.ModuleList(Counting(expert) for expert in layer.experts)
    x, embedding = inputs()
    layer(x, embedding, shared, cka_tokens=tokens)
    assert sum(expert.rows for expert in layer.experts) == B * (K * N + extra)


def test_bfloat16_autocast_keeps_gates_in_float32():
    layer, shared = make(dtype=torch.float32)
    x, embedding = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(x, embedding, shared, cka_tokens=2)
    result.y.float().sum().backward()
    assert result.routing.weights.dtype == torch.float32
    assert (result.y.float() - layer(x, embedding, shared).y).abs().max() < 0.05
    assert layer.router.codebook.grad.isfinite().all()


@pytest.mark.long
@pytest.mark.slow
def test_compiles_whatever_the_batch_routes_to():
    layer, shared = make(dtype=torch.float32)
    x, embedding = inputs(torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager")
    for size in (B, B - 2, 1):
        ours, plain = compiled(x[:size], embedding[:size], shared), layer(x[:size], embedding[:size], shared)
        assert (ours.y - plain.y).abs().max() < 1e-6
    ours.y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.long
@pytest.mark.slow
def test_batches_that_route_differently_are_not_compiled_again_and_again():
    layer, shared = make(dtype=torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="eager")
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for _ in range(12):
            y = compiled(torch.randn(4 * B, N, D), torch.randn(4 * B, L), shared, cka_tokens=2).y
            y.sum().backward()


def test_noise_is_relative_to_each_weight():
    torch.manual_seed(0)
    ffn = Mlp(64, 256)
    nn.init.normal_(ffn.fc1.weight, std=3.0)
    nn.init.zeros_(ffn.fc1.bias)
    before = {name: p.clone() for name, p in ffn.named_parameters()}
    experts = copy_experts(ffn, 2, noise=0.1)
    for expert in experts:
        assert (expert.fc1.weight - ffn.fc1.weight).std().item() == pytest.approx(0.3, rel=0.05)
        ratio = (expert.fc2.weight - ffn.fc2.weight).std() / ffn.fc2.weight.std()
        assert ratio.item() == pytest.approx(0.1, rel=0.05)
        assert torch.equal(expert.fc1.bias, ffn.fc1.bias)
    assert not torch.equal(experts[0].fc1.weight, experts[1].fc1.weight)
    assert all(torch.equal(p, before[name]) for name, p in ffn.named_parameters())


@pytest.mark.parametrize("experts", ["none", -1, 6, True, 1.0, None])
def test_refuses_experts_that_are_not_there(experts):
    with pytest.raises(ConfigError, match="experts: expected all, shared or a number from 0 to 5; got"):
        check_experts(experts, E)


@pytest.mark.parametrize(
    ("gamma", "learn", "message"),
    [
        (-0.1, False, "gamma: expected 0 to 1; got -0.1"),
        (1.1, True, "gamma: expected 0 to 1; got 1.1"),
        (math.nan, False, "gamma: expected 0 to 1; got nan"),
        (0, True, "gamma: to be learned .* got 0"),
        (1.0, True, "gamma: to be learned .* got 1.0"),
    ],
)
def test_refuses_gamma_out_of_range(gamma, learn, message):
    with pytest.raises(ConfigError, match=message):
        make(gamma=gamma, learn=learn)


def test_other_refusals():
    layer, shared = make()
    x, embedding = inputs()
    with pytest.raises(ConfigError, match="made for 4 experts; the layer has 6"):
        MoGELayer(layer.experts, LinearRouter(L, 4, 2))
    with pytest.raises(ConfigError, match="experts='all' routes by place"):
        layer(x, None, shared)
    with pytest.raises(ConfigError, match=r"cka_tokens: expected 0 \(all\) or more; got -1"):
        layer(x, embedding, shared, cka_tokens=-1)
    with pytest.raises(ConfigError, match="num_experts: expected at least 1; got 0"):
        copy_experts(shared, 0)
    with pytest.raises(ConfigError, match="expert_noise: expected 0 or more; got -1"):
        copy_experts(shared, 2, -1)
