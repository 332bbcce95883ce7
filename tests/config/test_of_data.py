"""The configuration of a data set: by either name, with its budget for a run, without it for a check."""

import pytest

from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.config.of_data import load_data
from geomoe.errors import ConfigError


def test_a_shipped_configuration_and_a_bare_data_set():
    assert load_data("fmow-lao") == load("fmow-lao")
    config = load_data("officehome", [Setting("data.root", "data", "--data-root")])
    assert (config.data.name, config.data.root) == ("officehome", "data")
    with pytest.raises(ConfigError, match=r"NAME: no data set 'fmwo'; did you mean fmow"):
        load_data("fmwo")


def test_a_check_reads_the_whole_data_set_unless_told_otherwise():
    run = load_data("rcmnist-10k").data
    assert (run.budget, run.num_domains) == (960, 17)
    whole = load_data("rcmnist-10k", whole=True).data
    assert (whole.budget, whole.num_domains) == (None, None)
    told = load_data("rcmnist-10k", [Setting("data.num_domains", "3", "--data.num_domains")], whole=True).data
    assert (told.budget, told.num_domains) == (run.budget, 3)
