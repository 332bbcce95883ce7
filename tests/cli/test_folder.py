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


def test_a_split_that_the_table_names_is_judged(trained, capsys, tmp_path):
    table, checkpoint = trained
    capsys.readouterr()
    argv = ["evaluate", "--checkpoint", str(checkpoint), "--split", "later", "--json", "--quiet"]
    assert main([*argv, "--output", str(tmp_path / "report")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["scores"]["all"]["overall"]["count"] == int(table["split"].eq("later").sum())
    assert (tmp_path / "report" / "map.html").is_file()


def test_a_split_that_nobody_names_is_refused(trained, refused):
    _, checkpoint = trained
    line = refused("evaluate", "--checkpoint", checkpoint, "--split", "latr")
    assert "no split 'latr'; did you mean later?" in line
