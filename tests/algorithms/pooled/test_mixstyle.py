"""MixStyle: when it mixes, with whom, and that the network for use is an ordinary one."""

import pytest
import torch

from geomoe.algorithms import Now
from geomoe.errors import InputError

NOW = Now(0, 100, 0)


def partners(method, domain, draws=30):
    for seed in range(draws):
        torch.manual_seed(seed)
        yield method._draw(domain)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_how_often_it_mixes(p, make):
    drawn = [found is not None for found in partners(make("mixstyle", p=p), torch.zeros(4), 400)]
    assert sum(drawn) / 400 == pytest.approx(p, abs=0.08)


def test_partners_of_another_domain(make):
    domain = torch.tensor([0, 0, 0, 1, 2, -1])
    seen = set()
    for _, partner in partners(make("mixstyle", p=1.0, partner="crossdomain"), domain):
        assert (domain[partner] != domain).all()
        seen |= set(partner[:3].tolist())
    assert seen == {3, 4, 5}
    for _, partner in partners(make("mixstyle", p=1.0, partner="crossdomain"), torch.ones(4), 3):
        assert partner.tolist() == [0, 1, 2, 3]


def test_partners_at_random_are_a_permutation(make):
    orders = set()
    for _, partner in partners(make("mixstyle", p=1.0), torch.zeros(4)):
        assert sorted(partner.tolist()) == [0, 1, 2, 3]
        orders.add(tuple(partner.tolist()))
    assert len(orders) > 10


@pytest.mark.slow
def test_shares_follow_the_beta_distribution(make):
    """Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1))."""
    method = make("mixstyle", p=1.0, alpha=0.5)
    shares = torch.cat([share for share, _ in partners(method, torch.zeros(50), 200)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(1 / 8, abs=0.005)


def test_the_loss_is_that_of_mixed_features_in_training_alone(make, make_batch):
    method, batch = make("mixstyle", p=1.0).train(), make_batch(8)
    torch.manual_seed(0)
    mixed = method.losses(batch, NOW).output.logits
    plain = method.ask(batch).logits
    assert (mixed - plain).abs().max() > 1e-4
    method.eval()
    answer = method.losses(batch, NOW)
    torch.testing.assert_close(answer.output.logits, method.ask(batch).logits, rtol=0, atol=0)
    torch.testing.assert_close(answer.total, method.cross_entropy(answer.output.logits, batch.label))


def test_no_hook_is_left_behind(make, make_batch):
    method = make("mixstyle", p=1.0).train()
    method.losses(make_batch(4), NOW)
    with pytest.raises(InputError):
        method.losses(make_batch(4)._replace(image=torch.zeros(4, 5, 16, 16)), NOW)
    assert not any(module._forward_hooks for module in method.modules())
