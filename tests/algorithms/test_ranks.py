"""Two processes, each with half of a batch, get the gradients that one gets of the whole batch."""

import pytest
import torch

from geomoe import catalogue
from geomoe.algorithms import Method, method_class
from tests import forked
from tests.algorithms import ranks_worker
from tests.algorithms.ranks_worker import gradients
from tests.kinds import names_asked
from tests.training.test_ddp import JOINT

EXPERTS = {"cka": 0.5, "cka_tokens": 0, "aux": 0.5, "supcon": 0.5}  # 0: no random choice of tokens
TOKENS = {"dropout": 0.0, "aux": 0.5}
ALIGNED = {"ssi": 1.0, "sp": 0.3, "bal": 0.5, "div": 0.4}
METHODS = {
    "erm": {},
    "erm_le": {},
    "film_le": {},
    "le_mlp": {},
    "le_token": {},
    "groupdro": {"eta": 0.5},
    "irm": {"weight": 3.0, "anneal": 0},
    "vrex": {"weight": 3.0, "anneal": 0},
    "rdm": {"weight": 3.0, "variance": 0.2, "anneal": 0},
    "coral": {"weight": 2.0},
    "mmd": {"weight": 2.0},
    "dann": {"weight": 2.0, "penalty": 0.5},
    "cdann": {"weight": 2.0, "penalty": 0.5},
    "fishr": {"weight": 30.0, "anneal": 0},
    "lfme": {},
    "per_region": {},
    "d3g": {"weight": 0.7},
    "d3g_wrap": {"weight": 0.7},
    "dcp": {"weight": 0.3},
    "dcp_le": {"weight": 0.3},
    "dynmoe": {"dropout": 0.0},
    "pg_dro": {"eta": 0.5, **EXPERTS},
    "moge": EXPERTS,
    "moge_le": EXPERTS,
    "moge_messi": {"ssi": 1.0, **EXPERTS},
    "messi_ot": {"load_memory": 0.9, **ALIGNED},
    "messi_mmd": ALIGNED,
    "erm_moe": {},
    "global_moe": {"variant": "code", "discrepancy": "mmd", **ALIGNED},
    "random_subset_moe": ALIGNED,
    "domain_only": ALIGNED,
    "gmoe": {"capacity": 0.75, "top_k": 2, **TOKENS},
    "gmoe_sagm": TOKENS,
    "omoe": TOKENS,
}


#: Methods whose processes mix their own parts of the batch; docs/methods.md says why.
APART = {"mixup", "mixstyle"}


def test_every_method_is_compared_here_or_as_a_whole_training():
    assert METHODS.keys() | set(JOINT) | APART == catalogue.METHODS.keys()
    own_updates = {name for name in catalogue.METHODS if method_class(name).update is not Method.update}
    # a wrapped update is that of sagm; cdann has that of dann
    assert own_updates - {"gmoe_sagm", "cdann"} <= set(JOINT)
    assert not APART & (METHODS.keys() | set(JOINT))


@pytest.fixture(scope="module")
def halves(request, tmp_path_factory):
    """What each of two processes ends with, by method."""
    folder = tmp_path_factory.mktemp("ranks")
    methods = {name: METHODS[name] for name in names_asked(request, METHODS)}
    orders = [{"rank": k, "folder": str(folder), "methods": methods} for k in (0, 1)]
    forked.both(ranks_worker.main, orders, folder)
    return [torch.load(folder / f"{k}.pt", weights_only=True) for k in (0, 1)]


@pytest.mark.slow
@pytest.mark.long  # tests/training/test_ddp.py compares whole trainings
@pytest.mark.parametrize("name", METHODS)
def test_the_joint_batch_counts(name, halves):
    whole = gradients(name, METHODS[name], None)
    for half in halves:
        assert half[name].keys() == whole.keys()
        for key, value in whole.items():
            near = {"rtol": 1e-9, "atol": 1e-11}
            torch.testing.assert_close(half[name][key], value, **near, msg=lambda text, k=key: f"{k}: {text}")
