"""From training to one table: two targets of PACS, two numbers of domains of Rotated-Colored MNIST."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geomoe.cli import main
from tests.samples import write_sample

pytestmark = pytest.mark.slow  # a fixture for all of them takes seconds


def judge(output, name, root, *options):
    """Train shortly on a sample, and judge the held-out domain."""
    argv = ["train", name, "--data-root", root, "--output", output / "runs", "--dry-run", "--quiet", *options]
    assert main(list(map(str, argv))) == 0
    newest = max((output / "runs").rglob("best.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    report = output / "reports" / f"{name}-{len(list(output.rglob('report.json')))}"
    argv = ["evaluate", "--checkpoint", newest, "--split", "held_out", "--output", report, "--quiet"]
    assert main(list(map(str, argv))) == 0
    return json.loads((report / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    output = tmp_path_factory.mktemp("summaries")
    for name in ("pacs", "rcmnist"):
        write_sample(name, output / name)
    small = ("--model.backbone", "vit_quick", "--model.image_size", "32", "--model.weights", "null")
    pacs = [
        judge(output, "pacs", output / "pacs", *small, "--held-out", style, "--data.batch_size", "6")
        for style in ("photo", "sketch")
    ]
    few = ("--data.num_environments", "20", "--data.budget", "15", "--data.batch_size", "3")
    growth = {
        k: judge(output, "rcmnist", output / "rcmnist", *few, "--data.num_domains", k, "--run-name", f"k{k}")
        for k in (3, 5)
    }
    return output, pacs, growth


def test_tables_hold_the_reports_numbers(judged, capsys, tmp_path):
    output, pacs, growth = judged
    capsys.readouterr()
    argv = ["summarize", str(output / "reports"), "--output", str(tmp_path / "summary"), "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "summary" / "summary.json").read_text(encoding="utf-8")) == found
    styles, curve = found["tables"]
    accuracy = [report["scores"]["all"]["held_out"]["accuracy"] for report in pacs]
    inside = [report["beside"]["target_in"]["all"]["accuracy"] for report in pacs]
    cells = styles["rows"][0]["cells"]
    assert [cells[name]["mean"] for name in ("photo", "sketch")] == accuracy
    assert cells["mean over targets"]["mean"] == pytest.approx(np.mean(accuracy))
    beside = styles["rows"][0]["beside"]["target_in"]
    assert beside["mean over targets"]["mean"] == pytest.approx(np.mean(inside))
    assert [report["beside"]["target_in"]["all"]["count"] < report["scores"]["all"]["overall"]["count"]
            for report in pacs] == [True, True]  # fmt: skip
    (row,) = curve["rows"]
    points = {k: report["scores"]["all"]["held_out"]["accuracy"] for k, report in growth.items()}
    assert {int(k): cell["mean"] for k, cell in row["cells"].items()} == points
    assert row["growth"]["peak"] == max(points.values())
    assert row["growth"]["last"] == points[5]


def test_the_text_and_the_figures(judged, capsys, tmp_path):
    output = judged[0]
    capsys.readouterr()
    assert main(["summarize", str(output / "reports"), "--output", str(tmp_path / "summary")]) == 0
    text = capsys.readouterr().out
    assert "pacs, split held_out: accuracy on the held-out domain" in text
    assert "targets: 2 of 4 domains" in text
    assert "K_s of the peak" in text
    assert {path.suffix for path in (tmp_path / "summary").iterdir()} == {".json", ".png"}


def test_refusals(refused, tmp_path):
    assert "no report.json in it" in refused("summarize", tmp_path)
    assert "cannot read a report" in refused("summarize", tmp_path / "nowhere" / "report.json")
    assert "required: REPORT" in refused("summarize")
