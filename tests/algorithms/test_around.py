"""SWAD goes around every method, and SAGM around every one whose update is one step along its losses."""

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from geomoe.algorithms import Now, method_class
from geomoe.algorithms.contract import Method
from geomoe.catalogue import ALGORITHMS
from tests.algorithms.conftest import BareStepper

OWN_UPDATE = {name for name in ALGORITHMS if method_class(name).update is not Method.update}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("around", [("swad",), ("sagm",), ("sagm", "swad")])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_trains_and_answers(name, around, make, make_batch):
    if "sagm" in around and name in OWN_UPDATE:
        return  # refused: test_sagm_around.py
    method = make(name)
    for wrapper in around:
        method = make(wrapper, inner=method)
    method.train()
    steps, batches = BareStepper(method, lr=0.01), [make_batch(12) for _ in range(3)]
    before, visited = parameters_to_vector(method.answering().parameters()), []
    for number, batch in enumerate(batches):
        method.update(batch, Now(number, 3, 0), steps)
        method.stepped(Now(number + 1, 3, 0))
        method.validated({"loss": 1 + number / 10}, Now(number + 1, 3, 0))
        inner = getattr(method, "inner", None) or method
        visited.append(parameters_to_vector(inner.answering().parameters()).detach().clone())
    assert method.finished(batches) is None
    found = parameters_to_vector(method.answering().parameters())
    want = torch.stack(visited).mean(dim=0) if "swad" in around else visited[-1]
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-6)
    assert not torch.equal(found, before)
    with torch.no_grad():
        assert method.eval().answering()(batches[0].image, batches[0].place).logits.isfinite().all()
