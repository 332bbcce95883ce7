import pytest

from geomoe.algorithms import ERM, ERMLE, MoGE
from geomoe.errors import ConfigError


@pytest.mark.parametrize("name", ["erm", "erm_le"])
@pytest.mark.parametrize("experts", ["shared", 0])
def test_there_are_no_experts_to_choose(name, experts, make, make_batch):
    with pytest.raises(ConfigError, match="no experts to choose from"):
        make(name).eval()(make_batch(2), experts)


MISFITS = [
    (ERM, "erm_le", "ERM: needs a network without a location encoder; got LocationNetwork"),
    (ERM, "moge", "ERM: needs a network without a location encoder; got MoGEViT"),
    (ERMLE, "erm", "ERMLE: needs a network with a location encoder; got PlainNetwork"),
    (MoGE, "erm", "MoGE: needs a network with a location encoder; got PlainNetwork"),
    (MoGE, "erm_le", "MoGE: needs a network with MoGE blocks .*; got LocationNetwork"),
]


@pytest.mark.parametrize(("kind", "name", "message"), MISFITS)
def test_networks_that_do_not_fit(kind, name, message, make_model):
    with pytest.raises(ConfigError, match=message):
        kind(make_model(name))
