"""What a stepper tells a method under half precision, whose gradients are scaled until the step."""

from types import SimpleNamespace

import pytest
import torch

from geomoe.training.stepper import LightningStepper


@pytest.mark.parametrize("scale", [None, 1024.0])
def test_gathered_gradients_are_without_the_scale_of_half_precision(scale):
    weights = [torch.nn.Parameter(torch.randn(3)), torch.nn.Parameter(torch.randn(2))]
    slope = torch.tensor([1.0, -2.0, 0.5])
    weights[0].grad = slope * (scale or 1.0)
    scaler = SimpleNamespace(get_scale=lambda: scale) if scale else None
    stepper = object.__new__(LightningStepper)
    stepper.learners = {"main": weights}
    stepper.task = SimpleNamespace(trainer=SimpleNamespace(precision_plugin=SimpleNamespace(scaler=scaler)))
    found = stepper.gathered()
    assert torch.equal(found[0], slope)
    assert torch.equal(found[1], torch.zeros(2))
    found[0].zero_()
    assert weights[0].grad.any(), "they are copies"
