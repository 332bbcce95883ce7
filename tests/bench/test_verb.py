"""The verb bench: refusals in one line, and flags that say a spec."""

from __future__ import annotations

import pytest

from geomoe.cli import main

GOOD = ["bench", "--data", "bluemarble", "--algorithms", "erm,moge", "--budget", "5"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (GOOD, "--output: give the folder of all runs and results; see geomoe bench --help"),
        (
            [*GOOD, "--dry-run", "--budget", "0"],
            "--budget: expected a whole number from 1 to 1,000,000,000,000; got 0 (geomoe bench)",
        ),
        (
            [*GOOD, "--dry-run", "--seeds", "x"],
            "--seeds: expected how many, from 1 to 100,000, or a list of different seeds up to "
            "4,294,967,295; got 'x'",
        ),
        (
            [*GOOD, "--dry-run", "--algorithms", "erm,mog"],
            "algorithms.1: no algorithm 'mog'; did you mean moge?",
        ),
        ([*GOOD, "--dry-run", "--algorithms", "erm,erm"], "--algorithms: two rows would be called erm"),
        ([*GOOD, "--dry-run", "--held-out", "Atlantis"], "--held-out: no domain 'Atlantis'"),
        (
            [*GOOD, "--dry-run", "--set", "model.topk=3"],
            "--set.model.topk: unknown key; did you mean model.top_k?",
        ),
        (
            [*GOOD, "--dry-run", "--twins", "params"],
            "--twins: no such choice 'params'; did you mean parameters?",
        ),
        ([*GOOD, "--dry-run", "--budgt", "3"], "unknown argument --budgt; did you mean --budget?"),
        (
            [*GOOD, "--output", "x", "--workers", "0"],
            "argument --workers: expected a whole number from 1 to 1,024; got '0'",
        ),
        (
            [*GOOD, "--output", "x", "--stale", "-1"],
            "argument --stale: expected a number from 0.001 to 1e+07; got '-1'",
        ),
        (
            ["bench", "all-method", "--dry-run"],
            "SPEC: no file or shipped spec 'all-method'; did you mean all-methods?",
        ),
        (["bench", "--dry-run"], "3 faults in the configuration:"),
    ],
)
def test_one_clear_line(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"geomoe: error: {line}")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_names_every_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*GOOD, "--dry-run", "--held-out", "Asia,Europe", "--seeds", "4,7", "--trials", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "16 runs of 5 updates; rows: erm, moge"
    assert lines[1] == "bench/runs/bluemarble/erm/erm-asia-seed4-trial0"
    assert all(("optimizer.lr=" in line) == ("trial1" in line) for line in lines[1:])
    assert main([*GOOD, "--dry-run", "--held-out", "each", "--seeds", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11


@pytest.mark.slow
def test_a_whole_bench_and_its_table(small_bench, capsys):
    words, folder = small_bench
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("bench on folder (percent)\n")
    assert "done, " in err
    assert {"results.json", "bench.html", "table.md", "table.csv", "table.tex"} <= {
        one.name for one in folder.iterdir()
    }
    assert main([*words, "--table-only", "--quiet"]) == 0
    assert capsys.readouterr() == (out, "")


def test_no_such_domain_is_told_before_anything_is_trained(small_bench, capsys):
    words, folder = small_bench
    assert main([*words, "--held-out", "south"]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1].startswith("geomoe: error: data.held_out: no domain 'south'")
    )
    assert not (folder / "runs").exists()


@pytest.fixture
def refused_table(small_bench, pictures, tmp_path, capsys):
    """What the command says of a table with some lines changed: (change of a line, or None) -> error."""
    words, folder = small_bench

    def refusal(change, *more):
        lines = map(change, (pictures / "points.csv").read_text().splitlines())
        (tmp_path / "changed.csv").write_text("\n".join(line for line in lines if line))
        assert main([*words, "--set", f"data.metadata={tmp_path / 'changed.csv'}", *more]) == 2
        assert not (folder / "runs").exists()
        return capsys.readouterr().err.splitlines()[-1]

    return refusal


def test_too_few_domains_are_told_before_anything_is_trained(refused_table):
    line = refused_table(lambda row: "" if ",north," in row else row, "--algorithms", "erm,groupdro")
    assert line.startswith(
        "geomoe: error: groupdro: algorithm: groupdro compares domains and needs 2 to train"
    )


def test_the_rows_that_can_be_trained_are_named(refused_table):
    asked = ("--algorithms", "erm,groupdro,moge,vrex")
    line = refused_table(lambda row: "" if ",north," in row else row, *asked)
    assert line.endswith("or train on more domains (the other rows can be trained: erm,moge)")


def test_a_backbone_that_a_method_cannot_use_is_told_before_anything_is_trained(small_bench, capsys):
    words, folder = small_bench
    assert main([*words, "--algorithms", "erm,gmoe", "--set", "model.backbone=resnet18"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        "geomoe: error: gmoe: backbone: resnet18 is not one of timm's ViT, DeiT, BEiT and Eva"
    )
    assert not (folder / "runs").exists()


def test_a_held_out_domain_without_test_samples_is_told_before_anything_is_trained(refused_table):
    line = refused_table(lambda row: row.replace(",east,test", ",east,train"))
    assert line == (
        "geomoe: error: --held-out: the test split of folder has no sample of east; hold out another domain "
        "(geomoe bench)"
    )


def test_missing_data_is_told_before_anything_is_trained(capsys, tmp_path):
    words = ["bench", "--data", "pacs", "--algorithms", "erm", "--budget", "5", "--seeds", "1"]
    assert main([*words, "--data-root", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "\n" not in capsys.readouterr().err.partition("geomoe: error: ")[2].strip()
    assert not (tmp_path / "out" / "runs").exists()
