"""Somebody's own images through the command line: splits of one's own, reports in the words of the table."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from geomoe.cli import main
from geomoe.datasets.samples.folder import write


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder whose table has a split of its own, and a checkpoint that was trained on it."""
    folder = tmp_path_factory.mktemp("folder")
    write(folder)
    table = pd.read_csv(folder / "clean.csv")
    table.loc[table["split"].eq("test") & (table.index % 2 == 0), "split"] = "later"
    table.to_csv(folder / "mine.csv", index=False)
    argv = ["train", "folder", "--data-root", folder, "--metadata", folder / "mine.csv", "--dry-run"]
    small = ["--model.image_size", "32", "--data.batch_size", "8", "--output", folder / "runs", "--quiet"]
    assert main(list(map(str, [*argv, *small]))) == 0
    (checkpoint,) = (folder / "runs").rglob("best.ckpt")
    return table, checkpoint


@pytest.mark.slow
def test_a_split_that_the_table_names_is_judged(trained, capsys, tmp_path):
    table, checkpoint = trained
    capsys.readouterr()
    argv = ["evaluate", "--checkpoint", str(checkpoint), "--split", "later", "--json", "--quiet"]
    assert main([*argv, "--output", str(tmp_path / "report")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["scores"]["all"]["overall"]["count"] == int(table["split"].eq("later").sum())
    assert (tmp_path / "report" / "map.html").is_file()


@pytest.mark.slow
def test_a_split_that_nobody_names_is_refused(trained, refused):
    _, checkpoint = trained
    line = refused("evaluate", "--checkpoint", checkpoint, "--split", "latr")
    assert "no split 'latr'; did you mean later?" in line


@pytest.mark.slow
def test_batches_of_domains_and_reports_in_the_words_of_the_table(trained, capsys, tmp_path):
    table, checkpoint = trained
    folder = checkpoint.parents[5]
    table = table.rename(columns={"domain": "country"})
    table.to_csv(tmp_path / "mine.csv", index=False)
    argv = [
        "train",
        "folder",
        "--data-root",
        folder,
        "--metadata",
        tmp_path / "mine.csv",
        "--dry-run",
        "--quiet",
    ]
    groups = ["--data.domain_by", "country", "--data.groups_per_batch", "2", "--data.batch_size", "6"]
    assert (
        main(list(map(str, [*argv, *groups, "--model.image_size", "32", "--output", tmp_path / "runs"]))) == 0
    )
    (grouped,) = (tmp_path / "runs").rglob("best.ckpt")
    capsys.readouterr()
    assert main(["evaluate", "--checkpoint", str(grouped), "--quiet"]) == 0
    assert "worst country" in capsys.readouterr().out
