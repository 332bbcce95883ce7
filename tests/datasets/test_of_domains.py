"""``data.train_domains``: training and selection on some of the source domains."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from geomoe.build import build_datamodule
from geomoe.config import DataConfig, RunConfig
from geomoe.config.rules import find_faults
from geomoe.errors import ConfigError


def module_of(**data):
    return build_datamodule(RunConfig(data=DataConfig(**data)))


def test_train_and_val_have_these_domains_and_test_has_all():
    some, every = module_of(train_domains=("Europe", "Africa"), held_out="Asia"), module_of(held_out="Asia")
    for split in ("train", "val"):
        whole, part = every.dataset(split), some.dataset(split)
        kept = np.isin(whole.domains, [1, 2])
        assert 0 < len(part) < len(whole)
        for name in ("lonlat", "labels", "domains", "blocks", "rows"):
            assert np.array_equal(getattr(part, name), getattr(whole, name)[kept])
        rows = [0, 5, len(part) - 1]
        ours, theirs = part.read(rows), whole.read(np.flatnonzero(kept)[rows].tolist())
        assert all(torch.equal(ours[key], theirs[key]) for key in ours if key != "index")
        assert torch.equal(part[3]["image"], whole[int(np.flatnonzero(kept)[3])]["image"])
        assert (part.classes, part.regions, part.data_hash) == (whole.classes, whole.regions, whole.data_hash)
    assert len(some.dataset("test")) == len(every.dataset("test"))
    assert some.info()["train_domains"] == [1, 2]
    assert "train_domains" not in every.info()


def test_loaders_and_other_processes():
    some = module_of(train_domains=("Oceania",), batch_size=32)
    some.setup("fit")
    assert {int(one) for batch in some.train_dataloader() for one in batch["domain"]} == {4}
    again = pickle.loads(pickle.dumps(some.train_dataset))
    assert torch.equal(again[0]["image"], some.train_dataset[0]["image"])


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"train_domains": ("Europ",)}, "data.train_domains: no region 'Europ'; did you mean Europe?"),
        ({"train_domains": ("Asia",), "held_out": "Asia"}, "data.train_domains: Asia is held out"),
        ({"train_domains": ("Asia", "Asia")}, "data.train_domains: each domain once"),
        ({"name": "rcmnist", "train_domains": ("x",)}, "data.train_domains: rcmnist has no such key"),
    ],
)
def test_refusals(data, line):
    (found,) = find_faults(RunConfig(algorithm="erm", data=DataConfig(**data)))
    assert found.startswith(line)


def test_names_that_only_the_data_knows(tmp_path):
    from tests.bench.conftest import make_pictures

    make_pictures(tmp_path)
    data = {"name": "folder", "root": str(tmp_path), "metadata": "points.csv", "held_out": "east"}
    found = module_of(**data, train_domains=("west",))
    assert set(found.dataset("train").domains.tolist()) == {found.dataset("train").regions.index("west")}
    with pytest.raises(ConfigError, match=r"data\.train_domains: no domain 'south'"):
        module_of(**data, train_domains=("south",)).setup("fit")
