"""Domain conditional predictors against their definition, written out in float64."""

import pytest
import torch

from geomoe.encoders import create_encoder
from geomoe.errors import ConfigError
from geomoe.models import ConditionedNetwork, create_backbone
from geomoe.models.film import FiLM
from geomoe.models.networks import pooled_features
from geomoe.types import Place
from tests.algorithms.conftest import FACTS
from tests.algorithms.reference import DOMAINS, double, losses_of, mean


def network(layers, x):
    hidden = (layers[0].weight @ x + layers[0].bias).clamp(min=0)
    return layers[2].weight @ hidden + layers[2].bias


def literal(method, batch):
    """Both cross-entropies by loops over the samples."""
    model = method.model
    if model.context is None:
        context = model.encoder(batch.place)
    else:
        context = pooled_features(model.context, batch.image)
    task, domain = [], []
    for row, (x, z) in enumerate(zip(pooled_features(model.backbone, batch.image), context, strict=True)):
        shaped = network(model.film.mul, z) * x + network(model.film.add, z)
        scores = model.backbone.head.weight @ shaped + model.backbone.head.bias
        task += losses_of([scores], [batch.label[row]])
        if int(batch.domain[row]) in range(4):
            domain += losses_of([model.domain.weight @ z + model.domain.bias], [batch.domain[row]])
    return mean(task), mean(domain) if domain else task[0] * 0


@pytest.mark.parametrize("name", ["dcp", "dcp_le"])
@pytest.mark.parametrize("domains", [DOMAINS, [2] * 12, [0, 1, 2, 3] * 3, [-1, 9] * 6])
def test_loss_and_gradients(name, domains, make, make_batch):
    method = make(name, weight=0.3).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, None)
    task, domain = literal(method, batch)
    want = task + 0.3 * domain
    torch.testing.assert_close(answer.terms["task"], task, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(answer.terms["domain"], 0.3 * domain, rtol=1e-9, atol=1e-12)
    leaves = [value for value in method.parameters() if value.requires_grad]
    slopes = [torch.autograd.grad(value, leaves, allow_unused=True) for value in (answer.total, want)]
    for one, other in zip(*slopes, strict=True):
        assert one is not None
        other = torch.zeros_like(one) if other is None else other
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-11)


def test_golden_modulation():
    """mul = 1 + relu(z - 1), add = 2 relu(z - 1): for z = 3 these are 3 and 4, so (5, -1) becomes (19, 1)."""
    film = FiLM(2, 1)
    with torch.no_grad():
        for layers, slope in ((film.mul, 1.0), (film.add, 2.0)):
            layers[0].weight.fill_(1)
            layers[0].bias.fill_(-1)
            layers[2].weight.fill_(slope)
        found = film(torch.tensor([[5.0, -1.0]]), torch.tensor([[3.0]]))
    assert found.tolist() == [[19.0, 1.0]]


def test_it_starts_near_the_plain_network():
    film = FiLM(64, 16)
    x = torch.randn(200, 64)
    with torch.no_grad():
        moved = (film(x, torch.randn(200, 16)) - x).square().mean() / x.square().mean()
    assert moved < 0.2


def test_the_context_of_dcp_is_made_of_the_image_and_learned_from_both_terms(make, make_batch):
    method = make("dcp").train()
    answer = method.losses(make_batch(16), None)
    weight = method.model.context.blocks[0].mlp.fc1.weight
    for term in answer.terms.values():
        assert torch.autograd.grad(term, weight, retain_graph=True)[0].abs().sum() > 0
    assert method.model.encoder is None


def test_an_unknown_place_has_a_learned_context(make, make_batch):
    method, batch = make("dcp_le").train(), make_batch(8, unknown=8)
    total = method.losses(batch, None).total
    assert torch.autograd.grad(total, method.model.encoder.unknown)[0].abs().sum() > 0


def test_how_often_the_domain_is_told_is_logged(make, make_batch):
    method, batch = make("dcp"), make_batch(12, domains=DOMAINS)
    answer = method.eval().losses(batch, None)
    told = answer.output.domain_scores.argmax(dim=1)
    rows = [row for row, own in enumerate(DOMAINS) if own in range(4)]
    want = sum(int(told[row]) == DOMAINS[row] for row in rows) / len(rows)
    assert answer.notes["domain_acc"].item() == pytest.approx(want)


def test_bad_input_is_one_line(make):
    with pytest.raises(ConfigError, match="algorithm: dcp_le needs to know where images were taken"):
        make("dcp_le", facts=FACTS._replace(centres=(None,) * 4))
    with pytest.raises(ConfigError, match="no sample of the held-out domain Asia has a known place"):
        make("dcp_le", facts=FACTS._replace(unplaced="Asia"))
    make("dcp", facts=FACTS._replace(centres=(None,) * 4, unplaced="Asia"))  # it reads no places
    backbone = create_backbone("vit_quick", num_classes=2, image_size=16)
    with pytest.raises(ConfigError, match="context: expected either an encoder or a second network"):
        ConditionedNetwork(backbone, (0, 1))
    phi = create_encoder("domain", num_domains=2)
    told = ConditionedNetwork(backbone, (0, 1), encoder=phi).eval()
    place = Place.unknown(2)._replace(domain=torch.tensor([0, 1]))
    assert told(torch.randn(2, 3, 16, 16), place).logits.isfinite().all()  # a domain is known without a place
