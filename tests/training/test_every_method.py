"""A linear probe and layer-wise decay reach every backbone of every method, each learner's too."""

import pytest

from geomoe.catalogue import METHODS
from geomoe.training.optimizers import parameter_groups
from geomoe.training.probe import Probe
from tests.algorithms.conftest import build

DECAY, BLOCKS = 0.5, 4


def of_backbones(method):
    """(name, parameter, block) of what is trained inside a backbone's block, experts in it left out."""
    for name, value in method.named_parameters():
        before, _, inside = name.partition(".blocks.")
        if inside and value.requires_grad and not before.endswith("result"):
            yield name, value, int(inside.split(".")[0])


@pytest.mark.parametrize("name", METHODS)
def test_a_probe_freezes_every_backbone_and_every_block_has_the_rate_of_its_depth(name):
    method = build(name)
    probe = Probe(method, 1)
    moving = {id(value) for value in probe.moving(method.parameters(), 0)}
    assert not [key for key, value, _ in of_backbones(method) if id(value) in moving]
    assert moving, "the classifiers are trained"
    rates = {
        id(value): group["lr"]
        for learner in method.learners().values()
        for group in parameter_groups(learner, 0.05, 1.0, DECAY, method)
        for value in group["params"]
    }
    for key, value, block in of_backbones(method):
        assert rates[id(value)] == pytest.approx(DECAY ** (BLOCKS - block)), key
