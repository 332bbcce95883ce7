"""A small example of every method, worked out by hand.

The network is the identity on images of two numbers, times a weight w = 1: its features are (a, b), its
logits w (a, b). With u = ln 3 an image (u, 0) has the probabilities (3/4, 1/4): its cross-entropy is GOOD =
ln(4/3) for class 0 and BAD = ln 4 for class 1. Its slope by w is the sum over c of (p_c - t_c) z_c. The
losses of IRM, VREx, RDM, Fishr, CORAL and MMD have theirs in tests/losses, from DomainBed's functions.
"""

import math

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from geomoe.algorithms import Facts, Now, method_class
from geomoe.encoders.base import LocationEncoder
from geomoe.models import FiLMNetwork, LocationMLPNetwork, LocationNetwork, LocationTokenViT, add_moge
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


# The methods that are given the place: images (T, 0) and (0, T) and the embeddings (P, 0) of places in the
# east and (-P, 0) in the west are so large that the epsilon of a LayerNorm is nothing beside them, so it
# makes (1, -1) and (-1, 1) of them. GELU leaves 100 as it is and makes 0 of -100, to the last bit.
T, P, EAST, WEST = 2e4, 1e6, (100.0, 0.0), (-100.0, 0.0)


class Lonlat(LocationEncoder):
    """phi = scale times (lon, lat)."""

    def __init__(self, scale):
        head = torch.nn.Linear(2, 2, bias=False)
        super().__init__(2, 2, head)
        fill(head.weight, scale * torch.eye(2))

    def _features(self, lonlat):
        return lonlat.float()


class Same(torch.nn.Module):
    """A network with timm's interface whose features are the image's two numbers, and so are its scores."""

    num_features = num_classes = 2

    def __init__(self):
        super().__init__()
        self.conv, self.head = torch.nn.Conv2d(2, 2, 1, bias=False), torch.nn.Linear(2, 2)
        fill(self.conv.weight, torch.eye(2)[:, :, None, None])
        fill(self.head.weight, torch.eye(2))
        fill(self.head.bias, torch.zeros(2))

    def forward_features(self, image):
        return self.conv(image)

    def forward_head(self, features, pre_logits=False):
        pooled = features.mean(dim=(2, 3))
        return pooled if pre_logits else self.head(pooled)

    def get_classifier(self):
        return self.head

    def reset_classifier(self, classes):
        assert classes == 0
        self.head = torch.nn.Identity()


def fill(parameter, values):
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values, dtype=parameter.dtype))


def one_block():
    """One image token of width 2 and one block without biases; its attention is even, of what it reads."""
    vit = VisionTransformer(
        img_size=1, patch_size=1, in_chans=2, num_classes=2, embed_dim=2, depth=1, num_heads=1, mlp_ratio=1,
        class_token=False, global_pool="avg", pos_embed="none", fc_norm=False, final_norm=False,
    )  # fmt: skip
    for parameter in vit.parameters():
        if parameter is not vit.blocks[0].norm1.weight:
            fill(parameter, torch.zeros_like(parameter))
    fill(vit.patch_embed.proj.weight, torch.eye(2)[:, :, None, None])
    fill(vit.blocks[0].attn.qkv.weight[4:], torch.eye(2))  # queries and keys are 0, values are what is read
    return vit


def at(places, images, labels):
    batch = batch_of(images, labels, [0] * len(labels))
    lonlat = torch.tensor(places, dtype=torch.float64)
    return batch._replace(place=batch.place._replace(lonlat=lonlat))


def put(method, values):
    """Set layers of a method's network: path -> values of its weight; biases are 0."""
    for path, value in values.items():
        layer = method.model.get_submodule(path)
        fill(layer.weight, value)
        if getattr(layer, "bias", None) is not None:
            fill(layer.bias, torch.zeros_like(layer.bias))


def test_erm_le():
    """Side by side (1, -1, 1, -1) for (T, 0) in the east: score 0 is u/2 (1 + 1), score 1 is 0.

    In the west score 0 is u/2 (1 - 1) for (T, 0), and u/2 (-1 - 1) for (0, T).
    """
    method = make("erm_le", lambda: LocationNetwork(Same(), Lonlat(P / 100), 2))
    put(method, {"head": [[U / 2, 0, U / 2, 0], [0, 0, 0, 0]]})
    batch = at([EAST, WEST, WEST], [(T, 0), (T, 0), (0, T)], [0, 0, 0])
    close(method.losses(batch, NOW).total, (GOOD + math.log(2) + BAD) / 3)


def test_film_le():
    """The hidden unit is lon: g = (2, 1) and b = (-3 u, 0) in the east, where (u, 0) becomes (-u, 0)."""
    method = make("film_le", lambda: FiLMNetwork(Same(), Lonlat(1.0), 1), hidden=1)
    put(method, {"film.0": [[1, 0]], "film.2": [[1 / 100], [0], [-3 * U / 100], [0]]})
    batch = at([EAST, WEST], [(U, 0), (U, 0)], [0, 0])
    close(method.losses(batch, NOW).total, (BAD + GOOD) / 2)
    close(method.losses(at([EAST], [(U, 0)], [1]), NOW).total, GOOD)


def test_le_mlp():
    """Hidden units 100 (x + p) and 100 (x - p), score 0 is u/200 times their difference, with x, p = 1 or -1.

    (T, 0): 200 and 0 in the east, 0 and 200 in the west. (0, T): neither is above 0 anywhere, so that
    both scores are 0. No linear head has these four answers.
    """
    method = make("le_mlp", lambda: LocationMLPNetwork(Same(), Lonlat(P / 100), 2, 2), hidden=2)
    hidden, scores = [[100, 0, 100, 0], [100, 0, -100, 0]], [[U / 200, -U / 200], [0, 0]]
    put(method, {"head.0": hidden, "head.2": scores})
    batch = at([EAST, WEST, EAST, WEST], [(T, 0), (T, 0), (0, T), (0, T)], [0, 0, 0, 1])
    close(method.losses(batch, NOW).total, (GOOD + BAD + 2 * math.log(2)) / 4)


def test_le_token():
    """The image token (T, 0) attends to (1, -1), itself, and the token of the place, (1, -1) or (-1, 1).

    Their mean is (1, -1) in the east and (0, 0) in the west; 5 times it is added to the image token, whose
    second number, -5 or 0, the classifier reads with the weight -u/5. A token of the place that was not
    attended to would leave (1, -1) everywhere.
    """
    method = make("le_token", lambda: LocationTokenViT(one_block(), Lonlat(1.0)))
    layers = {"tokens.0": P / 100 * torch.eye(2), "backbone.blocks.0.attn.proj": 5 * torch.eye(2)}
    put(method, layers | {"backbone.head": [[0, -U / 5], [0, 0]]})
    batch = at([EAST, WEST], [(T, 0), (T, 0)], [0, 0])
    close(method.losses(batch, NOW).total, (GOOD + math.log(2)) / 2)


def test_moge_le():
    """gamma 1/4: the second number is 2 u / 4 + 3/4 2 u / 3 = u in the east, where expert 0 is chosen.

    In the west it is 2 u / 4 - 3/4 2 u = -u. It is score 0, and the place at the head adds u or -u: 2 u and
    -2 u, whose cross-entropies for class 0 are ln(10/9) and ln 10. The shared expert alone says 2 u
    everywhere, without the place.
    """

    def network():
        made = add_moge(one_block(), Lonlat(P / 100), blocks=(0,), num_experts=2, top_k=1, router="linear",
                        gamma=0.25, expert_noise=0.0, at_head=True)  # fmt: skip
        return made.double()

    weights = {"aux": 0.0, "cka": 0.0, "supcon": 0.0, "shared_task": 0.5}
    method = make("moge_le", network, **weights)
    put(method, {"layers.0.router.linear": [[1, 0], [-1, 0]], "backbone.head": [[0, 1], [0, 0]]})
    fill(method.model.place_head[1].weight, [[U, 0], [0, 0]])
    fill(method.model.backbone.blocks[0].mlp.fc2.bias, [0, 2 * U])
    for expert, bias in zip(method.model.layers["0"].experts, (2 * U / 3, -2 * U), strict=True):
        fill(expert.fc2.bias, [0, bias])
    terms = method.losses(at([EAST, WEST], [(T, 0), (T, 0)], [0, 0]), NOW).terms
    assert terms.keys() == {"task", "shared_task"}
    close(terms["task"], (math.log(10 / 9) + math.log(10)) / 2)
    close(terms["shared_task"], math.log(10 / 9) / 2)
