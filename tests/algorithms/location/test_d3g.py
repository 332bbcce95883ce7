"""D3G and D3G+WRAP against their definitions, written out in float64 with plain loops."""

import copy
import math

import pytest
import torch

from geomoe.algorithms import Now, method_class
from geomoe.encoders import create_encoder
from geomoe.errors import ConfigError
from geomoe.models import create_backbone
from geomoe.models.heads import group_heads, place_heads
from geomoe.models.relations import mix
from geomoe.types import Batch, Place
from tests.algorithms.conftest import CENTRES, CLASSES, FACTS
from tests.algorithms.location.literal import KM, average, d3g_relations, heads, literal, wrap_relations
from tests.algorithms.reference import DOMAINS, by_domain, double, mean

LISTS = [DOMAINS, [2] * 12, [3] * 12, [0, 1, 2, 3] * 3, [-1, 9] * 6]


def agree(method, got, want):
    """Values and gradients by every parameter."""
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-9)
    leaves = [value for value in method.parameters() if value.requires_grad]
    slopes = [
        torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True) for value in (got, want)
    ]
    for one, other in zip(*slopes, strict=True):
        assert one is not None
        torch.testing.assert_close(
            one, torch.zeros_like(one) if other is None else other, rtol=1e-5, atol=1e-9
        )


@pytest.mark.parametrize(("query", "negative"), [("domain", "clip"), ("domain", "keep"), ("place", "clip")])
@pytest.mark.parametrize("domains", LISTS)
def test_d3g(domains, query, negative, make, make_batch):
    method = make("d3g", weight=0.7, beta=0.4, masks=3, query=query, negative=negative).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, None)
    task, rest = literal(method, batch, answer.output, d3g_relations)
    parts = [rows for rows in by_domain(domains) if rows]
    zero = answer.output.logits.sum() * 0
    means = [
        mean([mean([loss[row] for row in rows]) for rows in parts]) if parts else zero
        for loss in (task, rest)
    ]
    agree(method, answer.total, means[0] + 0.7 * means[1])
    if parts:
        torch.testing.assert_close(answer.terms["task"], means[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("negative", ["clip", "keep"])
@pytest.mark.parametrize("domains", LISTS)
def test_d3g_wrap(domains, negative, make, make_batch):
    method = make("d3g_wrap", weight=0.7, beta=0.6, negative=negative).train().double()
    batch = double(make_batch(12, domains=domains))
    answer = method.losses(batch, None)
    task, rest = literal(method, batch, answer.output, wrap_relations)
    zero = answer.output.logits.sum() * 0
    means = [mean(list(loss.values())) if loss else zero for loss in (task, rest)]
    agree(method, answer.total, means[0] + 0.7 * means[1])


@pytest.mark.parametrize(("name", "relations"), [("d3g", d3g_relations), ("d3g_wrap", wrap_relations)])
def test_answers_are_the_related_average_of_all_heads(name, relations, make, make_batch):
    method = make(name).eval().double()
    batch = double(make_batch(12, unknown=4, domains=DOMAINS))
    with torch.no_grad():
        output = method(batch)
        for row in range(12):
            want = average(heads(method, output.features[row]), relations(method, batch, row), range(4))
            torch.testing.assert_close(output.logits[row], want, rtol=1e-6, atol=1e-9)


def test_golden_mixture():
    """Centres at 0 and 90 E on the equator, a place at 30 E, scale_km a twelfth of the equator, beta 1.

    Then the distances are 1 and 2 scales, a = (1/e, 1/e^2), and the weights (e, 1) / (e + 1).
    """
    options = {"beta": 1.0, "masks": 1, "scale_km": KM * math.pi / 6, "query": "place", "negative": "clip"}
    backbone = create_backbone("vit_quick", num_classes=2, image_size=16)
    network = place_heads(backbone, create_encoder("sh", out_dim=8, legendre_polys=2), (3, 5), 2, options)
    network.sources.know((3, 5), ((0.0, 0.0), (90.0, 0.0)))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.eye(2))
        output = network.eval()(torch.randn(1, 3, 16, 16), torch.tensor([[30.0, 0.0]]))
    torch.testing.assert_close(output.domain_scores[0], torch.tensor([0.36787944, 0.13533528]))
    torch.testing.assert_close(output.logits[0], torch.tensor([0.73105858, 0.26894142]))


def test_golden_relation_of_wilds_geoshift():
    """All weights 0 but the biases: g = (1, ..., 1), g_loc = (1, 0, 1, 0, ...), so cos = 1 / sqrt(2).

    With beta 0.8 a sample is related to its own domain by 0.8 + 0.2 / sqrt(2), to others by 0.2 / sqrt(2).
    """
    backbone = create_backbone("vit_quick", num_classes=2, image_size=16)
    options = {"relations": "wrap", "beta": 0.8, "negative": "keep"}
    network = group_heads(backbone, lambda: None, (0, 1), 2, options).eval()
    for layers, inputs in ((network.relation.group, 1), (network.encoder.head, 4)):
        assert [tuple(layers[k].weight.shape) for k in (0, 2)] == [(128, inputs), (256, 128)]
    with torch.no_grad():
        for one in (*network.relation.group.parameters(), *network.encoder.head.parameters()):
            one.zero_()
        network.relation.group[2].bias.fill_(1)
        network.encoder.head[2].bias[::2] = 1
        network.relation.mask.fill_(0.3)
        place = Place.of(torch.tensor([[7.0, 50.0]] * 2), torch.tensor([1, -1]))
        related = network(torch.randn(2, 3, 16, 16), place).domain_scores
    torch.testing.assert_close(related, torch.tensor([[0.14142136, 0.94142136], [0.14142136, 0.14142136]]))


def test_a_sum_of_relations_near_zero_stays_finite():
    each = torch.tensor([[[3.0, 1.0], [1.0, 3.0]]])
    for tiny in (0.0, 1e-9, -1e-9):
        mixed = mix(each, torch.tensor([[0.1, -0.1 + tiny]]), torch.ones(1, 2, dtype=torch.bool))
        assert mixed.isfinite().all()
    below = mix(each, torch.tensor([[-0.1, -0.3]]), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(below, torch.tensor([[1.5, 2.5]]))  # negative over negative


@pytest.mark.parametrize("name", ["d3g", "d3g_wrap"])
def test_a_sample_of_unknown_place_and_domain_gets_the_plain_average(name, make, make_batch):
    method = make(name).eval()
    batch = make_batch(6, unknown=6, domains=[-1, 9] * 3)
    with torch.no_grad():
        output = method(batch)
    torch.testing.assert_close(output.logits, output.head_logits.mean(dim=1))


@pytest.mark.parametrize("name", ["d3g", "d3g_wrap"])
def test_a_known_domain_without_a_place_gets_its_own_head(name, make, make_batch):
    method = make(name).eval()
    batch = make_batch(4, unknown=4, domains=[3] * 4)  # no place of domain 3 is known
    with torch.no_grad():
        output = method(batch)
    torch.testing.assert_close(output.logits, output.head_logits[:, 3])


def test_a_place_beside_a_domain_gets_the_answer_of_its_head(make, make_batch):
    method = make("d3g", beta=1.0, scale_km=100.0).eval()
    batch = make_batch(3, unknown=0, domains=[-1] * 3)
    near = torch.tensor(CENTRES[:3], dtype=torch.float64) + 0.1
    with torch.no_grad():
        output = method(batch._replace(place=Place.of(near)))
    torch.testing.assert_close(output.logits, output.head_logits[range(3), range(3)])


@pytest.mark.parametrize("name", ["d3g", "d3g_wrap"])
def test_heads_without_training_samples_are_never_used(name, make, make_batch):
    facts = FACTS._replace(domains=(0, 2), samples=(4, 4), centres=(CENTRES[0], CENTRES[2]))
    method = make(name, facts=facts)
    batch = make_batch(24)
    answer, output = method.train().losses(batch, None), method.eval()(batch)
    for total in (answer.total, output.logits.sum()):
        slope = torch.autograd.grad(total, method.model.head.weight, retain_graph=True)[0]
        assert slope[[1, 3]].abs().sum() == 0
        assert slope[[0, 2]].abs().sum() > 0


@pytest.mark.parametrize("name", ["d3g", "d3g_wrap"])
def test_weights_alone_answer(name, make, make_batch):
    """A network made without the facts answers after its weights are loaded: centres are among them."""
    method, batch = make(name).eval(), make_batch(8)
    other = make(name, facts=FACTS._replace(centres=((0.0, 0.0),) * 4)).eval().model
    other.load_state_dict(method.model.state_dict())
    with torch.no_grad():
        assert torch.equal(other(batch.image, batch.place).logits, method(batch).logits)
    assert all(value.isfinite().all() for value in method.state_dict().values())


def test_relations_of_any_encoder(make_batch):
    for name in ("sh", "cartesian3d", "wrap"):
        phi = create_encoder(name, out_dim=8, legendre_polys=3)
        wide, options = phi.feature_dim, {"relations": "encoder", "beta": 0.5, "negative": "keep"}
        backbone = create_backbone("vit_quick", num_classes=CLASSES, image_size=16)
        network = group_heads(backbone, lambda phi=phi: phi, (0, 1), CLASSES, options).eval()
        assert network.encoder.head[0].in_features == wide
        batch = make_batch(6, unknown=1)
        assert network(batch.image, batch.place).logits.isfinite().all()


@pytest.mark.parametrize("name", ["d3g", "d3g_wrap"])
def test_what_cannot_be_related_is_one_line(name, make):
    for changes, what in (
        ({"centres": (None,) * 4}, "no training sample has a known place"),
        ({"centres": ()}, "no training sample has a known place"),
        ({"unplaced": "Asia"}, "no sample of the held-out domain Asia has a known place"),
    ):
        with pytest.raises(ConfigError, match=f"algorithm: {name} needs to know .*{what}") as caught:
            make(name, facts=FACTS._replace(**changes))
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"domains: expected some of \[0, 1, 2, 3\]; got \[7\]"):
        make(name, facts=FACTS._replace(domains=(0, 7), centres=(CENTRES[0], None)))
    method = make(name)
    with pytest.raises(ConfigError, match="needs places"):
        method.model(torch.randn(2, 3, 16, 16))


def test_an_encoder_of_domain_ids_is_refused():
    backbone = create_backbone("vit_quick", num_classes=2, image_size=16)
    options = {"relations": "encoder", "beta": 0.5, "negative": "keep"}
    with pytest.raises(ConfigError, match="this encoder reads domain ids; use another one, such as sh"):
        group_heads(backbone, lambda: create_encoder("domain", num_domains=2), (0, 1), 2, options)


def turned(domains, lon, count):
    """Two classes whose boundary turns with the longitude, by two degrees for each: graded domains."""
    lon, domain = (torch.tensor(one).repeat_interleave(count) for one in (lon, list(domains)))
    label = torch.randint(2, (len(lon),))
    way = torch.deg2rad(2 * lon) + torch.pi * label
    dots = torch.stack([way.cos(), way.sin(), torch.zeros(len(lon))], dim=1)
    dots = dots + 0.3 * torch.randn(len(lon), 3)
    lonlat = torch.stack([lon, torch.zeros(len(lon))], dim=1).double()
    image = dots[:, :, None, None].expand(-1, 3, 16, 16)
    return Batch(image, label, Place.of(lonlat, domain), torch.arange(len(lon)))


@pytest.mark.slow
@pytest.mark.long
def test_graded_domains_that_erm_fails(make, stepper):
    """Domains at 60 and 20 W, 20 and 60 E; tested on places halfway between neighbours, of no domain."""
    lon, between = [-60.0, -20.0, 20.0, 60.0], [-40.0, 0.0, 40.0]
    facts = FACTS._replace(samples=(60,) * 4, centres=tuple((one, 0.0) for one in lon))
    right = {}
    for name in ("erm", "d3g", "d3g_wrap", "dcp_le"):
        torch.manual_seed(0)
        test, method = turned([-1] * 3, between, 100), make(name, facts=facts).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        for _ in range(50):
            method.update(turned(range(4), lon, 12), None, steps)
        with torch.no_grad():
            found = method.eval()(test).logits.argmax(dim=1)
        right[name] = (found == test.label).float().mean().item()
    assert right["d3g"] > right["erm"] + 0.25, right
    assert right["d3g_wrap"] > right["erm"] + 0.08, right  # it sees places by the learned relation alone
    assert right["dcp_le"] > right["erm"] + 0.25, right


def test_its_network_is_averaged_by_swad(make, make_batch, stepper):
    inner = make("d3g")
    kind = method_class("swad")
    swad = kind(kind.Options(), None, inner.facts, inner).train()
    steps = stepper(swad)
    for number in range(3):
        swad.update(make_batch(8), Now(number, 3, 0), steps)
        swad.stepped(Now(number + 1, 3, 0))
    swad.validated({"loss": 1.0}, Now(3, 3, 0))
    swad.finished([])
    assert torch.equal(swad.answering().sources.centre, inner.model.sources.centre)
    assert (
        copy.deepcopy(swad.answering())
        .eval()(torch.randn(1, 3, 16, 16), Place.unknown(1))
        .logits.isfinite()
        .all()
    )


@pytest.mark.parametrize("query", ["domain", "place"])
def test_where_a_place_is_asked_it_changes_the_answer_and_nowhere_else(query, make):
    model = make("d3g", query=query).model.eval()
    domain = torch.tensor([0, 1, -1, 3, 9])  # no sample of domain 3 has a known place, and 9 never trained
    image = torch.randn(5, 3, 16, 16)
    here, there = (
        torch.tensor([lonlat] * 5, dtype=torch.float64) for lonlat in ([10.0, 50.0], [-60.0, -20.0])
    )
    with torch.no_grad():
        first, second = (model(image, Place.of(lonlat, domain)).logits for lonlat in (here, there))
    assert model.asks_place(Place.of(here, domain)).tolist() == (first != second).any(dim=1).tolist()
