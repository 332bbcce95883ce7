"""Every data set has facts; they agree with its reader's sample and with one another."""

from __future__ import annotations

import pytest

from geomoe.catalogue import CATALOGUE
from geomoe.config.load import data_set_of, load
from geomoe.config.shipped import shipped
from geomoe.datasets.samples import write
from geomoe.datasets.samples.write import write_sample
from geomoe.errors import ConfigError, OutputError
from geomoe.fetching import facts
from geomoe.fetching.digests import parse_digest


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_data_set_has_facts(name):
    known = facts.read_facts(name)
    assert all(len(text) > 4 for text in (known.title, known.about, known.licence, known.tree))
    assert set(known.size) == {"archive", "disk"}
    assert known.sources
    for source in known.sources:
        assert source.status in facts.STATUSES
        assert source.sha256 == "" or len(bytes.fromhex(source.sha256)) == 32
    assert set(known.samples or {}) <= {*CATALOGUE[name].splits, "all"}
    assert known.samples is None or known.samples_note


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_can_be_fetched_has_a_source_and_a_hash(name):
    files = facts.read_facts(name).files
    assert [file.archive for file in files] == sorted((file.archive for file in files), reverse=True)
    for file in files:
        assert (file.url != "") != (file.hub != "")
        assert file.hub == "" or file.sha256, "the hub is asked by sha256"
        assert file.url == "" or (file.url.startswith("https://") and file.url.endswith(f"/{file.name}"))
        assert parse_digest(*file.digest, where=file.name) == file.digest
        assert file.size > 0
        assert "/" not in file.name


def test_mnist_is_the_one_that_torchvision_has():
    from torchvision.datasets import MNIST

    files = facts.read_facts("rcmnist").files
    assert sorted((file.name, file.md5) for file in files) == sorted(MNIST.resources)
    assert {file.url.removesuffix(file.name) for file in files} <= set(MNIST.mirrors)


def test_nothing_is_told_about_what_is_not_there():
    from importlib import resources

    known = resources.files("geomoe.fetching") / "known"
    told = {file.name.removesuffix(".yaml") for file in known.iterdir()}
    assert told >= set(CATALOGUE)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CATALOGUE if facts.read_facts(name).sample])
def test_a_sample_is_where_the_facts_say(name, tmp_path):
    known = facts.read_facts(name)
    missing = facts.find(known, tmp_path).missing
    assert missing == known.expect
    write_sample(known, tmp_path)
    assert facts.find(known, tmp_path).missing == ()
    if known.inside:
        assert facts.find(known, tmp_path / known.inside).missing == ()


def test_what_is_missing_is_named(tmp_path):
    known = facts.read_facts("rcmnist")
    assert facts.find(known, tmp_path).folder == tmp_path / "MNIST" / "raw"
    (tmp_path / "t10k-labels-idx1-ubyte").touch()
    found = facts.find(known, tmp_path)
    assert found.folder == tmp_path
    assert len(found.missing) == 3
    assert not any("t10k-labels" in entry for entry in found.missing)


@pytest.mark.parametrize("name", shipped())
def test_a_configuration_stands_for_its_data_set(name):
    assert data_set_of(name) == load(name, environment={}).data.name


def test_an_unknown_name():
    with pytest.raises(ConfigError, match=r"NAME: no data set 'rcminst'; did you mean rcmnist\? \(known: "):
        data_set_of("rcminst")


def test_a_sample_is_written_whole_into_a_new_folder_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "small"
    made = write.make_sample("pacs", folder)
    assert made.files == sum(path.is_file() for path in folder.rglob("*")) > 0
    assert (made.data, made.folder) == ("pacs", folder)
    with pytest.raises(OutputError, match="is there and not empty"):
        write.make_sample("pacs", folder)
    with pytest.raises(ConfigError, match="bluemarble: needs no sample"):
        write.make_sample("bluemarble", tmp_path / "other")

    def fail(facts, folder, seed):
        (folder / "images").mkdir(parents=True)
        (folder / "images" / "a.png").write_text("half")
        (folder / "t.csv").write_text("half")
        raise OutputError("disk full")

    monkeypatch.setattr(write, "write_sample", fail)
    with pytest.raises(OutputError, match="disk full"):
        write.make_sample("pacs", tmp_path / "other")
    assert not (tmp_path / "other").exists()
