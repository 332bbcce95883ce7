"""Risks of domains and their penalties against loops over samples, with autograd for the slopes."""

import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy

from geomoe.errors import InputError
from geomoe.losses import domain_means, irm_penalty, irm_slopes, mean_where, risk_matching, variance_where
from geomoe.losses.risks import RDM_SCALES


def same_with_gradient(got, want, leaf):
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-13)
    slopes = [torch.autograd.grad(value, leaf, retain_graph=True)[0] for value in (got, want)]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-13)


def test_means_and_variance_of_the_domains_that_are_there(parts):
    values = parts.logits[:, 0]
    means, count = domain_means(values, parts.members)
    assert count.tolist() == [6, 0, 4, 1]
    want = [values[rows].mean() for rows in parts.rows if rows]
    assert means[1] == 0
    torch.testing.assert_close(means[count > 0], torch.stack(want))
    mean = sum(want) / 3
    same_with_gradient(mean_where(means, count > 0), mean, parts.logits)
    spread = sum((one - mean) ** 2 for one in want) / 3
    same_with_gradient(variance_where(means, count > 0), spread, parts.logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_slopes_are_those_of_autograd(smoothing, parts):
    slopes = irm_slopes(parts.logits, parts.labels, smoothing)
    for row, label, got in zip(parts.logits, parts.labels, slopes, strict=True):
        factor = torch.ones((), dtype=torch.float64, requires_grad=True)
        loss = cross_entropy(factor * row, label, label_smoothing=smoothing)
        (want,) = torch.autograd.grad(loss, factor, create_graph=True)
        same_with_gradient(got, want, parts.logits)


def slope(logits, labels):
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(cross_entropy(factor * logits, labels), factor, create_graph=True)[0]


def test_irm_penalty_of_two_halves(parts):
    found = []
    for rows in parts.rows:
        if len(rows) > 1:
            first, second = (
                slope(parts.logits[half], parts.labels[half]) for half in (rows[::2], rows[1::2])
            )
            found.append(first * second)
    got = irm_penalty(irm_slopes(parts.logits, parts.labels), parts.members)
    same_with_gradient(got, sum(found) / len(found), parts.logits)


def test_irm_penalty_of_all_pairs_is_the_mean_over_all_halvings(parts):
    slopes = irm_slopes(parts.logits, parts.labels)
    found = []
    for rows in parts.rows:
        if len(rows) > 1:
            halvings = list(itertools.combinations(rows, len(rows) // 2))
            products = [
                slopes[list(half)].mean() * slopes[[row for row in rows if row not in half]].mean()
                for half in halvings
            ]
            found.append(sum(products) / len(products))
    got = irm_penalty(slopes, parts.members, "pairs")
    same_with_gradient(got, sum(found) / len(found), parts.logits)


def test_the_irm_penalty_can_be_negative():
    slopes, members = torch.tensor([1.0, -2.0]), torch.ones(2, 1, dtype=torch.bool)
    for estimate in ("halves", "pairs"):
        assert irm_penalty(slopes, members, estimate) == -2


def test_risk_matching(parts):
    losses = cross_entropy(parts.logits, parts.labels, reduction="none")
    worst = max((rows for rows in parts.rows if rows), key=lambda rows: losses[rows].mean().item())
    every = sorted(row for rows in parts.rows for row in rows)

    def kernel(one, other):
        values = [
            torch.exp(-g * (losses[i] - losses[j]) ** 2) for i in one for j in other for g in RDM_SCALES
        ]
        return sum(values) / (len(one) * len(other))

    def spread(rows):
        if len(rows) < 2:
            return 0
        return sum((losses[row] - losses[rows].mean()) ** 2 for row in rows) / (len(rows) - 1)

    want = kernel(worst, worst) + kernel(every, every) - 2 * kernel(worst, every)
    found, variances = risk_matching(losses, parts.members)
    same_with_gradient(found, want, parts.logits)
    same_with_gradient(variances, spread(worst) + spread(every), parts.logits)


def test_the_numbers_of_domainbed(table):
    losses = cross_entropy(table.logits, table.labels, reduction="none")
    risks, count = domain_means(losses, table.members)
    assert risks.tolist() == pytest.approx([1.3419606255986494, 1.5666968465945779], rel=1e-12)
    assert variance_where(risks, count > 0).item() == pytest.approx(0.012626592256882702, rel=1e-12)
    penalty = irm_penalty(irm_slopes(table.logits, table.labels), table.members)
    assert penalty.item() == pytest.approx(0.26316232592452865, rel=1e-12)
    found, variances = risk_matching(losses, table.members)
    assert found.item() == pytest.approx(0.43256359465226524, rel=1e-11)
    assert variances.item() == pytest.approx(0.8974659409993997, rel=1e-12)


def test_without_a_domain_all_is_zero_with_a_gradient(parts):
    members = torch.zeros_like(parts.members)
    losses = cross_entropy(parts.logits, parts.labels, reduction="none")
    means, count = domain_means(losses, members)
    slopes = irm_slopes(parts.logits, parts.labels)
    for value in (
        mean_where(means, count > 0),
        variance_where(means, count > 0),
        irm_penalty(slopes, members),
        irm_penalty(slopes, members, "pairs"),
        *risk_matching(losses, members),
    ):
        assert value == 0
        assert torch.autograd.grad(value, parts.logits, retain_graph=True)[0].abs().max() == 0


def test_members_that_do_not_fit_are_refused(parts):
    values = parts.logits[:, 0]
    for members in (parts.members[1:], parts.members[:, 0], parts.members.long()):
        for ask in (domain_means, irm_penalty, risk_matching):
            with pytest.raises(InputError, match=r"expected \(B, G\) bool members"):
                ask(values, members)
