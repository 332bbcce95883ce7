"""IRM and VREx leave a colour alone that tells more than the shape, but not in each domain as much."""

import pytest
import torch

from geomoe.algorithms import Now
from tests.algorithms.reference import accuracy_without_the_colour

METHODS = {
    "erm": ({}, 90),
    "irm": ({"weight": 100.0, "anneal": 30}, 90),
    "vrex": ({"weight": 30.0, "anneal": 30}, 90),
}


@pytest.mark.long
@pytest.mark.slow
def test_a_colour_that_is_right_to_different_degrees_is_left_alone(make, make_batch, stepper):
    right = {}
    for name, (options, updates) in METHODS.items():
        torch.manual_seed(0)
        method = make(name, **options).train()
        steps = stepper(method, kind=torch.optim.Adam, lr=1e-3)
        right[name] = accuracy_without_the_colour(
            method, steps, make_batch, lambda step: Now(step, 10**4, 0), updates
        )
    assert right["erm"] < 0.2, right
    assert right["irm"] > 0.6, right
    assert right["vrex"] > 0.6, right
