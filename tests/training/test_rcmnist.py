"""The shipped configuration of Rotated-Colored MNIST goes all the way on sampled digits."""

from __future__ import annotations

import json

import pytest

from geomoe.cli import main
from geomoe.datasets.samples import mnist


@pytest.mark.slow
def test_dry_run(capsys, tmp_path, monkeypatch):
    mnist.write(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    argv = ["train", "rcmnist-10k", "--data-root", "digits", "--dry-run", "--quiet", "--json"]
    small = [
        "--data.num_domains",
        "3",
        "--data.budget",
        "96",
        "--data.batch_size",
        "12",
        "--trainer.threads",
        "1",
    ]
    assert main([*argv, *small, "--trainer.accelerator", "cpu"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metrics"]["step"] == 2
    assert 0 <= result["metrics"]["test_acc"] <= 1
    run = json.loads((tmp_path / result["run"] / "run.json").read_text(encoding="utf-8"))
    assert "0deg-p0.5" in json.dumps(run)
