import pytest
import torch

from geomoe.losses import (
    cka_diversity,
    coral_distance,
    fishr_penalty,
    gradient_variances,
    irm_penalty,
    irm_slopes,
    load_balance,
    risk_matching,
    squared_mmd,
    supcon,
)
from geomoe.types import Routing
from tests.kinds import long_after

LABELS, GROUPS = torch.arange(12) % 3, torch.arange(12) % 2
MEMBERS = LABELS[:, None] == torch.arange(3)
PRESENT = torch.ones(3, dtype=torch.bool)
LOSSES = {
    "cka, gram": lambda x: cka_diversity(x.view(3, 8, 4), path="gram"),
    "cka, features": lambda x: cka_diversity(x.view(3, 8, 4), "biased", path="features"),
    "supcon": lambda x: supcon(x.view(12, 8), LABELS, GROUPS),
    "load balance": lambda x: load_balance(Routing(x.view(12, 8).softmax(1), x.view(12, 8).softmax(1), x)),
    "irm": lambda x: irm_penalty(irm_slopes(x.view(12, 8), LABELS), MEMBERS),
    "rdm": lambda x: sum(risk_matching(x.view(12, 8)[:, 0], MEMBERS)),
    "coral": lambda x: coral_distance(x.view(12, 8), MEMBERS),
    "mmd": lambda x: squared_mmd(x.view(12, 8), MEMBERS),
    "fishr": lambda x: fishr_penalty(
        gradient_variances(x.view(12, 8)[:, :5], x.view(12, 8)[:, 5:], LABELS, MEMBERS), PRESENT
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", long_after(4, list(LOSSES)))
def test_one_graph_with_the_same_gradient(name):
    loss = LOSSES[name]
    x = torch.randn(96, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), loss(x))
    torch.testing.assert_close(*(torch.autograd.grad(f(x), x)[0] for f in (compiled, loss)))
