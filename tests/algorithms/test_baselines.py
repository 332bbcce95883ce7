import pytest

from geomoe.errors import ConfigError


@pytest.mark.parametrize("name", ["erm", "erm_le"])
@pytest.mark.parametrize("experts", ["shared", 0])
def test_there_are_no_experts_to_choose(name, experts, make, make_batch):
    with pytest.raises(ConfigError, match="no experts to choose from"):
        make(name).eval()(make_batch(2), experts)


@pytest.mark.parametrize("network", ["plain", "location"])
def test_moge_needs_blocks_of_experts(network, make):
    with pytest.raises(ConfigError, match="MoGE: needs a network with MoGE blocks"):
        make("moge", network=network)
