"""A small example of every method, worked out by hand.

The network is the identity on images of two numbers, times a weight w = 1: its features are (a, b), its
logits w (a, b). With u = ln 3 an image (u, 0) has the probabilities (3/4, 1/4): its cross-entropy is GOOD =
ln(4/3) for class 0 and BAD = ln 4 for class 1. Its slope by w is the sum over c of (p_c - t_c) z_c. The
losses of IRM, VREx, RDM, Fishr, CORAL and MMD have theirs in tests/losses, from DomainBed's functions.
"""

import math

import pytest
import torch

from geomoe.algorithms import Facts, Now, method_class
from geomoe.models.mnist_cnn import MnistCnn
from geomoe.models.per_region import RegionNetworks
from geomoe.types import Batch, ModelOutput, Place, Routing
from tests.algorithms.conftest import BareStepper

U, GOOD, BAD = math.log(3), math.log(4 / 3), math.log(4)
NOW = Now(0, 10, 0)


class Identity(torch.nn.Module):
    """Logits w times the image's two numbers."""

    feature_dim, blocks, num_experts = 2, (), 0

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, image, place, **keywords):
        return ModelOutput(self.weight * image.flatten(1), image.flatten(1))


class Routed(Identity):
    """The same, with a given routing to two experts and their given features."""

    blocks, num_experts = (0,), 2

    def __init__(self, gates, features=((),)):
        super().__init__()
        self.gates = torch.tensor(gates, dtype=torch.float64)
        self.features = torch.tensor(features, dtype=torch.float64)

    def forward(self, image, place, **keywords):
        routing = Routing(self.gates, self.gates, self.gates.log())
        return super().forward(image, place)._replace(routings=(routing,), expert_outputs=(self.features,))


def make(name, network=Identity, inner=None, **options):
    kind = method_class(name)
    facts = Facts(classes=2, domains=(0, 1), samples=(50, 50), num_domains=2)
    return kind(kind.Options(**options), network, facts, *([] if inner is None else [inner])).train().double()


def batch_of(images, labels, domains):
    image = torch.tensor(images, dtype=torch.float64)[:, :, None, None]
    place = Place.unknown(len(labels))._replace(domain=torch.tensor(domains))
    return Batch(image, torch.tensor(labels), place, torch.arange(len(labels)))


def close(found, want):
    assert found.item() == pytest.approx(want, rel=1e-9)


EASY_AND_HARD = batch_of([(U, 0), (U, 0)], [0, 1], [0, 1])  # the domains' risks are GOOD and BAD


def test_erm():
    close(make("erm").losses(EASY_AND_HARD, NOW).total, (GOOD + BAD) / 2)


def test_groupdro():
    """eta 1: q goes as (4/3, 4), so it is (1, 3) / 4; at the next step as (1, 9), so (1, 9) / 10."""
    before, after = make("groupdro", eta=1.0), make("groupdro", eta=1.0, q="after")
    close(before.losses(EASY_AND_HARD, NOW).total, GOOD / 4 + BAD * 3 / 4)
    close(after.losses(EASY_AND_HARD, NOW).total, (GOOD + BAD) / 2)
    close(before.losses(EASY_AND_HARD, NOW).total, GOOD / 10 + BAD * 9 / 10)
    close(after.losses(EASY_AND_HARD, NOW).total, GOOD / 4 + BAD * 3 / 4)
    torch.testing.assert_close(before.q, torch.tensor([0.1, 0.9], dtype=torch.float64))


def test_mixup(monkeypatch):
    """Images 2 u and -2 u: with share 3/4 the mixture is u, with share 1/2 it is 0, whose loss is ln 2."""
    method = make("mixup")
    drawn = torch.tensor([0.1, 0.2]), torch.tensor([0.75, 0.5])
    monkeypatch.setattr(method, "_draws", lambda device: drawn)
    batch = batch_of([(2 * U, 0), (-2 * U, 0)], [0, 1], [0, 1])
    close(method.losses(batch, NOW).total, (0.75 * GOOD + 0.25 * BAD + math.log(2)) / 2)


def test_sagm():
    """g0 = -u/4 at w = 1; rho = 2 + alpha |g0| leads to w = -1, where g1 = -3 u / 4: their mean is -u/2."""
    alpha = 0.3
    method = make("sagm", rho=2 + alpha * U / 4, alpha=alpha)
    answer = method.update(batch_of([(U, 0)], [0], [0]), NOW, BareStepper(method, lr=0.4 / U))
    close(answer.notes["gradient_norm"], U / 4)
    close(method.model.weight, 1.2)


def test_lfme():
    """The expert says (3/4, 1/4) of the logits (u, 0); in each domain one sample."""
    method = make("lfme", weight=2.0)
    guide = ((U - 0.75) ** 2 + 0.25**2) / 2
    answer = method.update(EASY_AND_HARD, NOW, BareStepper(method, lr=0.4 / U))
    close(answer.terms["task"], (GOOD + BAD) / 2)
    close(answer.terms["guide"], 2 * guide)
    # slopes: -u/4 and 3 u / 4 of the experts; u/4 and 2 u (u - 3/4) of the network
    for weight, slope in zip(method.parameters(), (0.25 + 2 * (U - 0.75), -0.25, 0.75), strict=True):
        close(weight, 1 - 0.4 * slope)


@pytest.mark.parametrize("seed", [0, 1])
def test_fish(seed):
    """Steps of 8/u: from 1 by 2 and by -2, if the domains' labels differ; w = 1 and -1 have other slopes.

    Class 0 first: 1 + 8/4 = 3, where the slope is 27/28 u for class 1: 3 - 8 27/28 = -33/7. Class 1 first:
    1 - 8 3/4 = -5, where it is -243/244 u for class 0: -5 + 8 243/244 = 181/61.
    """
    method = make("fish", meta_lr=0.25)
    torch.manual_seed(seed)
    inner = -33 / 7 if torch.randperm(2)[0] == 0 else 181 / 61
    torch.manual_seed(seed)
    method.update(EASY_AND_HARD, NOW, BareStepper(method, lr=8 / U))
    close(method.model.weight, 1 + 0.25 * (inner - 1))


THREE = batch_of([(U, 0)] * 3, [0, 0, 1], [0, 1, 1])  # the discriminator below is right about the first


@pytest.mark.parametrize(
    ("name", "domain"), [("dann", (GOOD + 2 * BAD) / 3), ("cdann", ((GOOD + BAD) / 2 + BAD) / 2)]
)
def test_dann_and_cdann(name, domain):
    """A discriminator of one layer with weight 1; class embeddings are 0. CDANN: the mean over classes."""
    method = make(name, depth=1, weight=0.5)
    with torch.no_grad():
        for value in method.discriminator.parameters():
            value.copy_(torch.eye(2) if value.shape == (2, 2) else torch.zeros(2))
        if name == "cdann":
            method.discriminator.classes.weight.zero_()
    answer = method.losses(THREE, NOW)
    close(answer.notes["discriminator"], domain)
    close(answer.total, (2 * GOOD + BAD) / 3 - 0.5 * domain)


def test_the_input_gradients_penalty_of_dann():
    """Slopes by the features are (-1/4, 1/4), (3/4, -3/4) twice: 1/8, 9/8, 9/8 squared, 19/24 on the mean."""
    method = make("dann", depth=1, penalty=0.3)
    with torch.no_grad():
        method.discriminator[0].weight.copy_(torch.eye(2))
        method.discriminator[0].bias.zero_()
    _, loss = method._discriminate(THREE)
    close(loss, (GOOD + 2 * BAD) / 3 + 0.3 * 19 / 24)


def test_swad():
    """converge 2, tolerance 2, ratio 1/2: 2 and 3 begin the valley, above 3.75 it ends; weights are 10^n."""
    method = make("swad", inner=make("erm"), converge=2, tolerance=2, ratio=0.5)
    for number, loss in enumerate([4.0, 2.0, 3.0, 2.0, 9.0, 9.0, 1.0]):
        with torch.no_grad():
            method.inner.model.weight.fill_(10.0**number)
        method.stepped(NOW)
        method.validated({"loss": loss}, NOW)
    method.finished([])
    close(method.answering().weight, 370)


def test_pg_dro():
    """Gates (1, 0), (1/2, 1/2): R = (ln(64/9) / 3, ln 4); eta 3: q goes as (64/9, 64)."""
    method = make("pg_dro", lambda: Routed([[1, 0], [0.5, 0.5]]), eta=3.0, aux=0.0, cka=0.0, supcon=0.0)
    close(method.losses(EASY_AND_HARD, NOW).total, 0.1 * math.log(64 / 9) / 3 + 0.9 * BAD)
    torch.testing.assert_close(method.q, torch.tensor([[0.1, 0.9]], dtype=torch.float64))


# Two domains with a sample each of class 0, and one of class 1 in domain 0, which is compared with none. The
# experts move (0, 0) to (3, 4), a cost of 25, and (1, 0) to (0, 1), a cost of 2. alpha = 4 u: sigma(4 u p) is
# 27/28 for p = 3/4, 3/4 for 1/4 and 9/10 for 1/2.
GATES = [[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]]
EXPERTS = [[(0, 0), (3, 4), (0, 0)], [(1, 0), (0, 1), (0, 0)]]
CELLS = batch_of([(U, 0)] * 3, [0, 0, 1], [0, 1, 0])
MMD = 2 - 2 / 5 * sum(math.exp(-1 / (2 * scale)) for scale in (1, 2, 4, 8, 16))  # scales times the distance
ALIGNED = {
    "messi_ot": 27 / 28 * 3 / 4 * (25 + 2),
    "global_moe": 25 + 2,
    "random_subset_moe": 27 / 28 * 3 / 4 * (25 + 2),  # both weights are the same, in any order
    "domain_only": 9 / 10 * 3 / 4 * 25 + 9 / 10 * 27 / 28 * 2,  # domain 0 has 1/2 on both experts
}


def messi(name, **options):
    weights = {"ssi": 1.0, "sp": 1.0, "bal": 1.0, "div": 0.0, "alpha": 4 * U, "experts": 2}
    return make(name, lambda: Routed(GATES, EXPERTS), **weights | options)


@pytest.mark.parametrize("name", ALIGNED)
def test_messi_and_its_controls(name):
    """The plan of two single samples is 1, and its entropic term 0. Loads are (5, 7) / 12."""
    terms = messi(name).losses(CELLS, NOW).terms
    close(terms["ssi"], ALIGNED[name])
    close(terms["task"], ((GOOD + BAD) / 2 + GOOD) / 2)  # the mean of the domains' means
    close(terms["sp"], BAD / 4 + GOOD * 3 / 4)
    close(terms["bal"], 2 / 144)


def test_messi_mmd():
    """Class 1 has no second domain; without it the unit of each expert is its only distance."""
    two = batch_of([(U, 0)] * 2, [0, 0], [0, 1])
    rows = [rows[:2] for rows in EXPERTS]
    method = make("messi_mmd", lambda: Routed(GATES[:2], rows), ssi=1.0, alpha=4 * U, experts=2)
    close(method.losses(two, NOW).terms["ssi"], 27 / 28 * 3 / 4 * 2 * MMD)


def test_the_controls_of_the_code():
    """The mean over experts and pairs, or over a share of them: one of two."""
    close(messi("global_moe", variant="code").losses(CELLS, NOW).terms["ssi"], 27 / 2)
    chosen = messi("random_subset_moe", variant="code", share=0.3).losses(CELLS, NOW).terms["ssi"]
    assert chosen.item() in (pytest.approx(25), pytest.approx(2))


def test_erm_moe():
    """GOOD in domain 0, BAD twice in domain 1: the mean of the domains' means, or over all samples."""
    batch = batch_of([(U, 0)] * 3, [0, 1, 1], [0, 1, 1])
    for variant, want in {"paper": (GOOD + BAD) / 2, "code": (GOOD + 2 * BAD) / 3}.items():
        method = make("erm_moe", lambda: Routed(GATES), variant=variant)
        close(method.losses(batch, NOW).total, want)


def test_per_region():
    """Networks that say (3/4, 1/4) and (1/2, 1/2), whatever they see: 5/8 for class 0 without a domain."""
    networks = [MnistCnn(2, 1), MnistCnn(2, 1)]
    with torch.no_grad():
        for network, bias in zip(networks, (U, 0.0), strict=True):
            network.head.weight.zero_()
            network.head.bias.copy_(torch.tensor([bias, 0.0]))
        regions = RegionNetworks(networks, (0, 1)).double()
        regions.sources.know((0, 1), (None, None))
        place = Place.unknown(3)._replace(domain=torch.tensor([0, 1, -1]))
        found = regions(torch.zeros(3, 1, 4, 4, dtype=torch.float64), place).logits.softmax(dim=1)
    torch.testing.assert_close(found[:, 0], torch.tensor([3 / 4, 1 / 2, 5 / 8], dtype=torch.float64))
