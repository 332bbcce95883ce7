"""MoGE with MESSI's alignment: its term over the routers' soft domains; MoGE's terms stay."""

import pytest
import torch

from geomoe.algorithms import Now
from geomoe.losses import soft_mmd

NOW = Now(0, 100, 0)


@pytest.mark.parametrize("cka", [0.0, 0.1])
def test_the_term_is_the_mean_over_blocks_of_the_soft_alignment(cka, make, make_batch):
    method, batch = make("moge_messi", ssi=0.3, alpha=2.0, cka=cka, cka_tokens=0).train(), make_batch(12)
    answer = method.losses(batch, NOW)
    want = 0
    for outputs, routing in zip(answer.output.expert_outputs, answer.output.routings, strict=True):
        tokens = outputs.shape[1] // 12
        features = torch.stack(
            [torch.stack([expert[n * tokens : (n + 1) * tokens].mean(dim=0) for n in range(12)])
             for expert in outputs]
        )  # fmt: skip
        gates = routing.weights.detach()
        want = want + soft_mmd(features, batch.label, gates, gates, 2.0) / 2
    torch.testing.assert_close(answer.terms["ssi"], 0.3 * want)
    assert ("cka" in answer.terms) == bool(cka)
    routers = [value for key, value in method.named_parameters() if "router" in key]
    slopes = torch.autograd.grad(answer.terms["ssi"], routers, allow_unused=True)
    # a router is reached through the tokens of a later block alone: the last one is not
    last = len(routers) // 2
    assert all(slope is None or not slope.any() for slope in slopes[last:])


def test_without_its_term_it_is_moge(make, make_batch):
    method, moge = make("moge_messi", ssi=0.0).eval(), make("moge").eval()
    moge.load_state_dict(method.state_dict())
    batch = make_batch(12)
    found = []
    for one in (method, moge):
        torch.manual_seed(1)
        found.append(one.losses(batch, NOW).terms)
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        assert torch.equal(found[0][name], found[1][name])
