import contextlib
import dataclasses

import pytest
import torch

from geomoe.algorithms import Facts, Now, method_class
from geomoe.catalogue import ALGORITHMS, METHODS
from geomoe.config.methods import defaults_of
from geomoe.encoders import create_encoder
from geomoe.models import (
    ExpertHeadNetwork,
    FiLMNetwork,
    LocationMLPNetwork,
    LocationNetwork,
    LocationTokenViT,
    PlainNetwork,
    add_moge,
    create_backbone,
)
from geomoe.models.table import NETWORKS, Parts
from geomoe.types import Batch, LossTerms, Place

CLASSES = 5
CENTRES = ((20.0, 10.0), (-100.0, 40.0), (100.0, 35.0), None)  # no sample of domain 3 has a known place
FACTS = Facts(classes=CLASSES, domains=(0, 1, 2, 3), samples=(40, 30, 20, 10), num_domains=4, centres=CENTRES)
OF_DOMAINS = ("place_heads", "group_heads", "conditioned", "conditioned_by_place", "regions")
NOW = Now(step=0, steps=100, epoch=0)


def small_backbone():
    return create_backbone("vit_quick", num_classes=CLASSES, image_size=16)


def network_of_domains(kind, options):
    """A network whose sizes or formula are among the options of its method."""

    def encoder():
        return create_encoder("sh", out_dim=16, hidden_dim=16, legendre_polys=4)

    parts = Parts(small_backbone(), encoder, CLASSES, {}, options, (0, 1, 2, 3), small_backbone)
    return NETWORKS[kind].make(parts)


def small_network(kind, method=None, **options):
    backbone = small_backbone()
    if kind == "plain":
        return PlainNetwork(backbone)
    if kind == "expert_head":
        return ExpertHeadNetwork(backbone, **options)
    if kind in ("token_experts", "orthogonal_experts", "top_any_experts"):
        sizes = {"moge_blocks": (2, 3), "num_experts": 4, "expert_noise": 0.02} | options
        return NETWORKS[kind].make(Parts(backbone, None, CLASSES, sizes, method, (), small_backbone))
    encoder = create_encoder("sh", out_dim=16, hidden_dim=16, legendre_polys=4)
    if kind == "location":
        return LocationNetwork(backbone, encoder, CLASSES)
    if kind == "film":
        return FiLMNetwork(backbone, encoder, 16)
    if kind == "location_mlp":
        return LocationMLPNetwork(backbone, encoder, CLASSES, 32)
    if kind == "location_token":
        return LocationTokenViT(backbone, encoder)
    sizes = {"blocks": (2, 3), "num_experts": 4, "top_k": 2, "at_head": kind == "experts_le"}
    return add_moge(backbone, encoder, **sizes | options)


def build(name, model_options=None, facts=FACTS, network=None, inner=None, **options):
    """A method on a small real network; a wrapper goes around ``inner``, or ERM."""
    kind, entry = method_class(name), METHODS[name]
    given = kind.Options(**options)

    def make_network():
        if entry.network in OF_DOMAINS and network is None:
            return network_of_domains(entry.network, dataclasses.asdict(given))
        method = defaults_of(name) | options
        return small_network(network or entry.network, method, **model_options or {})

    if entry.wrapper or inner is not None:
        around = build(ALGORITHMS[0], facts=facts) if inner is None else inner
        return kind(given, make_network, facts, around)
    return kind(given, make_network, facts)


@pytest.fixture
def make():
    """Build a method on a small real network: make("moge", cka=0.5)."""
    return build


@pytest.fixture
def loss_of():
    """What a method says of a batch: its network's output, and its loss terms."""

    def ask(method, batch, now=NOW):
        answer = method.losses(batch, now)
        return answer.output, LossTerms(answer.total, answer.terms)

    return ask


@pytest.fixture
def make_batch():
    """A batch of noise: make_batch(32, unknown=4) has 4 unknown places."""

    def build_batch(size=32, unknown=4, labels=None, domains=None):
        lonlat = (torch.rand(size, 2, dtype=torch.float64) - 0.5) * torch.tensor([360.0, 180.0])
        lonlat[:unknown] = torch.nan
        domain = torch.randint(-1, 4, (size,)) if domains is None else torch.as_tensor(domains)
        return Batch(
            image=torch.randn(size, 3, 16, 16),
            label=torch.randint(CLASSES, (size,)) if labels is None else torch.as_tensor(labels),
            place=Place.of(lonlat, domain),
            index=torch.arange(size),
        )

    return build_batch


class BareStepper:
    """The plainest stepper: torch optimisers, one process, no schedule."""

    def __init__(self, method, kind=torch.optim.SGD, **options):
        modules = method.learners()
        self.parameters = {
            name: [value for value in module.parameters() if value.requires_grad]
            for name, module in modules.items()
        }
        self.optimizers = {name: kind(found, **options) for name, found in self.parameters.items()}
        self.applied, self.numbers = [], None

    def gradients(self, loss, learner="main", *, samples=None):
        (loss * (0 if samples == 0 else 1)).backward(inputs=self.parameters[learner])

    def gathered(self, learner="main"):
        return [
            torch.zeros_like(value) if value.grad is None else value.grad.clone()
            for value in self.parameters[learner]
        ]

    @contextlib.contextmanager
    def replay(self):
        self.numbers = torch.get_rng_state() if self.numbers is None else self.numbers
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.numbers)
            yield

    def apply(self, learner="main"):
        self.numbers = None
        self.optimizers[learner].step()
        self.optimizers[learner].zero_grad()
        self.applied.append(learner)

    def reset(self, learner="main"):
        self.optimizers[learner].state.clear()


@pytest.fixture
def stepper():
    """Make a stepper for a method: stepper(method, lr=0.1)."""
    return lambda method, **options: BareStepper(method, **{"lr": 0.1} | options)
