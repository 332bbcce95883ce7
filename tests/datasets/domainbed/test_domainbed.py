"""DomainBed's data sets in their layout, held against torchvision's ImageFolder and plain counting."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torchgeo.datasets import NonGeoDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional

from geomoe.catalogue import CATALOGUE
from geomoe.cli import main
from geomoe.config.keys import Setting
from geomoe.config.load import load
from geomoe.datasets import DATASETS
from geomoe.datasets.domainbed.folders import scan
from geomoe.datasets.domainbed.reader import LAYOUTS, PACS, DomainNet, OfficeHome, TerraIncognita
from geomoe.datasets.domainbed.splits import SPLITS, choose, set_aside
from geomoe.datasets.samples.domainbed import SETS, write
from geomoe.errors import ConfigError, DataError, DatasetNotFoundError

READERS = {"pacs": PACS, "officehome": OfficeHome, "terraincognita": TerraIncognita, "domainnet": DomainNet}
#: Domains as torchvision and DomainBed sort the folders.
FOLDERS = {name: sorted(domains) for name, (_, domains, _) in SETS.items()}


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """All four samples, side by side."""
    folder = tmp_path_factory.mktemp("domainbed")
    for name in SETS:
        write(folder, name=name)
    return folder


@pytest.fixture
def pacs(root, tmp_path):
    """A PACS of its own, to be damaged."""
    return Path(shutil.copytree(root / "PACS", tmp_path / "PACS", symlinks=True))


def clean(folder, tmp_path, name):
    """The same images without anything that ImageFolder would stumble over, by domain."""
    inside, domains, classes = SETS[name]
    for domain in domains:
        for kind in classes:
            for path in sorted((folder / inside / domain / kind).glob("*")):
                if path.suffix.lower() in (".jpg", ".png") and not path.name.startswith("."):
                    target = tmp_path / domain / kind / path.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_images_and_labels_are_those_of_image_folder_but_for_the_class_that_is_missing(name, root, tmp_path):
    """Every image once, with the pixels and the class name that torchvision gives it."""
    kept = clean(root, tmp_path, name)
    reader = READERS[name]
    parts = [reader(root, split) for split in ("train", "val", "test")]
    found = {}
    for part in parts:
        for i in range(len(part)):
            domain, kind, file = part.files[i].split("/")
            assert (part.regions[part.domains[i]], part.classes[part.labels[i]]) == (domain, kind)
            found[domain, kind, file] = part, i
    shifted = 0
    for domain in FOLDERS[name]:
        reference = ImageFolder(kept / domain)
        assert len(reference) == sum(key[0] == domain for key in found)
        for path, label in reference.samples:
            kind, file = path.split("/")[-2:]
            part, i = found[domain, kind, file]
            assert part.classes[part.labels[i]] == reference.classes[label]
            shifted += int(part.labels[i]) != label
        for number in range(0, len(reference), 7):  # pixels, of some
            image, _ = reference[number]
            part, i = found[domain, *reference.samples[number][0].split("/")[-2:]]
            assert torch.equal(part[i]["image"], functional.pil_to_tensor(image).float())
    assert shifted == 0  # the last class is missing in the second domain: no label behind it
    assert parts[0].regions == tuple(LAYOUTS[name].domains) == CATALOGUE[name].domains


def test_a_class_that_is_missing_in_one_domain_moves_no_label(pacs, caplog):
    """Where ImageFolder counts classes domain by domain, everything behind the missing one moves."""
    shutil.rmtree(pacs / "photo" / "elephant")
    data = PACS(pacs, "held_out", held_out="photo")
    kinds = {file.split("/")[1]: int(label) for file, label in zip(data.files, data.labels, strict=True)}
    own = ImageFolder(pacs / "photo", is_valid_file=lambda p: p.lower().endswith(("jpg", "png"))).class_to_idx
    assert kinds["giraffe"] == 2 == own["giraffe"] + 1
    assert data.classes == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    assert "no images of elephant in domain photo" in caplog.text
    assert "no images of person in domain cartoon" in caplog.text


@pytest.mark.parametrize("name", SETS)
def test_domains_are_sorted_as_domainbed_sorts_them(name):
    assert list(LAYOUTS[name].domains) == FOLDERS[name]
    assert LAYOUTS[name].folders[0] == SETS[name][0]


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("officehome", {"Real World": "Real_World", "Art": "art"}),
        ("officehome", {"Real World": "RealWorld"}),
        ("terraincognita", {"location_38": "L38", "location_100": "100"}),
        ("pacs", {"art_painting": "art-painting", "photo": "P"}),
        ("domainnet", {"clipart": "clip", "quickdraw": "QuickDraw"}),
    ],
)
def test_other_names_of_a_domain_give_the_same_rows_and_splits(name, renamed, root, tmp_path):
    inside = SETS[name][0]
    shutil.copytree(root / inside, tmp_path / inside)
    for old, new in renamed.items():
        (tmp_path / inside / old).rename(tmp_path / inside / new)
    target = next(iter(renamed))
    for split in SPLITS:
        own, other = READERS[name](tmp_path, split, target), READERS[name](root, split, target)
        assert np.array_equal(own.rows, other.rows)
        assert np.array_equal(own.labels, other.labels)
        assert own.data_hash == other.data_hash
    assert torch.equal(own[0]["image"], other[0]["image"])


@pytest.mark.parametrize("folder", ["PACS", "pacs", "kfold", "."])
def test_the_root_may_be_the_folder_itself_or_hold_it_under_another_name(folder, pacs, tmp_path):
    own = pacs if folder == "." else pacs.rename(tmp_path / folder)
    for root in {own, own.parent} if folder != "." else {own}:
        assert len(PACS(root, "train")) > 200


# --- splits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_each_split_is_what_it_says(name, root):
    """A fifth of each class of each source is val, the rest train; the target is test and never seen."""
    listing = scan(root, LAYOUTS[name])
    for target, domain in enumerate(listing.domains):
        rows = {split: set(READERS[name](root, split, domain).rows.tolist()) for split in SPLITS}
        held_out = set(np.flatnonzero(listing.domain == target).tolist())
        assert rows["held_out"] == held_out
        assert rows["test"] == held_out | rows["val"]
        assert rows["target_in"] | rows["target_out"] == held_out
        assert not rows["target_in"] & rows["target_out"]
        assert not rows["train"] & rows["val"]
        assert rows["train"] | rows["val"] | held_out == set(range(len(listing.files)))
        assert not (rows["train"] | rows["val"]) & held_out
        for source in range(len(listing.domains)):
            for label in range(len(listing.classes)):
                cell = set(np.flatnonzero((listing.domain == source) & (listing.label == label)).tolist())
                aside = rows["target_out"] if source == target else rows["val"]
                assert len(cell) // 5 <= len(cell & aside) <= -(-len(cell) // 5)
            whole = set(np.flatnonzero(listing.domain == source).tolist())
            aside = rows["target_out"] if source == target else rows["val"]
            assert len(whole) // 5 <= len(whole & aside) <= -(-len(whole) // 5)


def test_a_domains_fifth_does_not_depend_on_the_target(root):
    fifths = []
    for target in ("photo", "sketch"):
        data = PACS(root, "val", target)
        fifths.append(set(data.rows[data.domains == 1].tolist()))
    assert fifths[0] == fifths[1]
    assert fifths[0]


def test_without_a_target_val_and_test_are_a_tenth_of_every_domain_each(root):
    rows = {split: PACS(root, split).rows for split in ("train", "val", "test")}
    together = np.concatenate(list(rows.values()))
    assert sorted(together.tolist()) == list(range(len(together)))
    domains = PACS(root, "test").domains
    for domain in range(4):
        whole = sum(int((PACS(root, split).domains == domain).sum()) for split in rows)
        assert abs(int((domains == domain).sum()) - whole / 10) < 1.5


def test_seeds_give_other_splits_and_the_same_seed_the_same(root):
    first, again, other = (PACS(root, "val", "photo", split_seed=seed).rows for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert len(set(first) & set(other)) < len(first) / 2
    assert (PACS(root, "val").data_hash == PACS(root, "train", "photo").data_hash) is True


def test_every_image_is_set_aside_equally_often():
    names = [f"photo/dog/{i}.jpg" for i in range(100)]
    zeros = np.zeros(100, dtype=np.int64)
    times = Counter(row for seed in range(500) for row in set_aside(names, zeros, zeros, seed))
    counts = np.array([times[row] for row in range(100)])
    assert counts.sum() == 500 * 20
    assert abs(counts.std() - (500 * 0.2 * 0.8) ** 0.5) < 3


def test_the_split_of_known_names_stays_what_it_is():
    """A new version of anything must not move images from one split to another."""
    names = [f"{domain}/{kind}/{i}.jpg" for domain in "ab" for kind in "xy" for i in range(7)]
    domain, label = np.repeat([0, 1], 14), np.tile(np.repeat([0, 1], 7), 2)
    assert set_aside(names, domain, label, 0) == EXPECTED


EXPECTED = [5, 4, 9, 17, 26]


# --- samples ------------------------------------------------------------------------------------


def test_a_sample_is_tensors_and_has_no_place(root):
    data = PACS(root, "train", "photo", image_size=32)
    sample = data[0]
    assert isinstance(data, NonGeoDataset)
    assert all(isinstance(value, torch.Tensor) for value in sample.values())
    assert sample["image"].shape == (3, 32, 32)
    assert sample["image"].dtype == torch.float32
    assert sample["image"].max() > 100
    assert sample["lon"].isnan()
    assert sample["lat"].isnan()
    assert {data[i]["image"].shape for i in range(len(data))} == {(3, 32, 32)}
    assert data.plot(sample).axes[0].get_title() == "dog\nart_painting, place unknown"


def test_it_travels_to_a_worker_process(root):
    data = OfficeHome(root, "val", "Art", image_size=24)
    copied = pickle.loads(pickle.dumps(data))
    assert torch.equal(copied[3]["image"], data[3]["image"])
    assert len(copied) == len(data)


def test_batches_have_equally_many_images_of_every_source(root):
    module = DATASETS["pacs"](root, held_out="sketch", batch_size=12, image_size=32, groups_per_batch=3)
    for batch in module.train_dataloader():
        assert Counter(batch["domain"].tolist()) == {0: 4, 1: 4, 2: 4}
    facts = module.info()
    assert facts["domains"] == ["art_painting", "cartoon", "photo", "sketch"]
    assert len(facts["classes"]) == 7
    assert module.dataset("test").listing is module.dataset("train").listing  # listed once


# --- what is refused ----------------------------------------------------------------------------


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(DatasetNotFoundError) as caught:
        OfficeHome(tmp_path / "nowhere")
    text = str(caught.value)
    assert text.startswith(
        f"{tmp_path}/nowhere/office_home: OfficeHome is not there: no folder of Art, Clipart"
    )
    assert "geomoe data info officehome" in text
    assert "--data-root" in text
    assert "\n" not in text


def test_a_folder_of_everything_with_one_likely_name_is_not_the_data_set(tmp_path):
    (tmp_path / "P" / "dog").mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match="PACS is not there"):
        PACS(tmp_path)


def test_a_domain_that_is_missing_or_empty_or_there_twice(pacs):
    shutil.move(pacs / "sketch", pacs / "skech")
    with pytest.raises(
        DataError, match=r"no folder of PACS's sketch \(found: art_painting, cartoon, photo\)"
    ):
        PACS(pacs)
    (pacs / "sketch" / "dog").mkdir(parents=True)
    with pytest.raises(DataError, match=r"sketch: no images of PACS below it; the copy is incomplete"):
        PACS(pacs)
    shutil.rmtree(pacs / "sketch")
    shutil.move(pacs / "skech", pacs / "sketch")
    shutil.copytree(pacs / "photo", pacs / "Photo")
    with pytest.raises(DataError, match="'Photo' and 'photo' are both PACS's photo"):
        PACS(pacs)


def test_folders_that_are_no_domains_are_named(pacs, caplog):
    (pacs / "splits").mkdir()
    assert len(PACS(pacs, "held_out", "photo").regions) == 4
    assert "not domains of PACS, left out: splits" in caplog.text
    assert "MACOSX" not in caplog.text


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "gone"])
def test_a_damaged_image_is_named_when_it_is_read(pacs, damage):
    data = PACS(pacs, "train", "photo")
    path = pacs / data.files[5]
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"<html>"}[damage])
    data.load_image(4)
    with pytest.raises(DataError) as caught:
        data[5]
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_wrong_names(root):
    with pytest.raises(
        ConfigError, match=r"data\.held_out: no domain 'Real_World'; did you mean Real World\?"
    ):
        OfficeHome(root, held_out="Real_World")
    with pytest.raises(ConfigError, match=r"split: expected one of train, val, .*; got 'validation'"):
        PACS(root, "validation")
    with pytest.raises(ConfigError, match="split: target_in needs a domain that is held out"):
        PACS(root, "target_in")
    with pytest.raises(ConfigError, match="split: held_out needs"):
        choose("held_out", [], np.zeros(3, dtype=np.int64), None)


# --- configurations -----------------------------------------------------------------------------

#: MESSI, appendix F.2: learning rate, weight decay, iterations, images in a batch.
PAPER = {
    "pacs": (3e-5, 1e-6, 5_000, 96),
    "officehome": (1e-5, 1e-6, 10_000, 96),
    "terraincognita": (5e-5, 1e-4, 10_000, 96),
    "domainnet": (5e-5, 0.0, 15_000, 160),
}


@pytest.mark.parametrize("name", SETS)
def test_configurations_are_the_papers(name):
    config = load(name, environment={})
    steps = config.data.batches_per_epoch * config.trainer.max_epochs
    found = (config.optimizer.lr, config.optimizer.weight_decay, steps, config.data.batch_size)
    assert found == PAPER[name]
    assert config.data.batch_size == 32 * config.data.groups_per_batch
    assert config.data.groups_per_batch == len(CATALOGUE[name].domains) - 1
    assert (config.optimizer.name, config.optimizer.schedule, config.optimizer.warmup) == (
        "adam",
        "constant",
        0,
    )
    assert (config.data.augment, config.trainer.select) == ("domainbed", "val_mean_region_acc")
    assert (config.algorithm, config.model.backbone) == ("erm", "deit_small_patch16_224")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backbone"), [*zip(SETS, ("vit_quick", "test_resnet", "vit_quick", "vit_quick"), strict=True)]
)
def test_configurations_run(name, backbone, root, tmp_path, capsys):
    """Two steps, validation, checkpoint, reload, test, through the command line."""
    groups = load(name, environment={}).data.groups_per_batch
    own = {
        "data.root": root,
        "data.batch_size": 2 * groups,
        "data.num_workers": 0,
        "data.held_out": FOLDERS[name][-1],
        "model.backbone": backbone,
        "model.image_size": 32,
        "model.weights": "null",
        "trainer.accelerator": "cpu",
        "trainer.loggers": "csv",
        "output": tmp_path,
    }
    flags = [word for key, value in own.items() for word in (f"--{key}", str(value))]
    assert main(["train", name, "--dry-run", "--json", "--quiet", *flags]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    by_domain = [value for key, value in metrics.items() if key.startswith("val_acc_")]
    assert 1 <= len(by_domain) <= groups  # a dry run looks at the first images of val
    assert metrics["val_mean_region_acc"] == pytest.approx(sum(by_domain) / len(by_domain))
    assert 0 <= metrics["test_acc"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_verb_writes_the_sample_that_was_asked_for(name, root, tmp_path, capsys):
    assert main(["data", "sample", name, str(tmp_path / "sample"), "--quiet"]) == 0
    assert [path.name for path in (tmp_path / "sample").iterdir()] == [SETS[name][0]]
    assert READERS[name](tmp_path / "sample").data_hash == READERS[name](root).data_hash


@pytest.mark.parametrize("algorithm", ["moge", "erm_le"])
def test_methods_that_ask_for_places_are_refused(algorithm, capsys):
    assert main(["train", "pacs", "--algorithm", algorithm]) == 2
    message = f"algorithm: {algorithm} asks where an image was taken, and pacs has no places; use erm"
    assert message in capsys.readouterr().err
    load("pacs", flags=[Setting("algorithm", algorithm, ""), Setting("encoder.name", "domain", "")])
