"""The README's commands and Python examples are run as they are printed, after a (tiny) quickstart."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from geomoe.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.S)
(VERBS,) = re.findall(r"<!-- verbs -->\n```bash\n(.*?)```", README, flags=re.S)
SHORTER = {  # flags that cut a budget, not what the commands are and leave
    "train": ("--trainer.max_steps", "2"),
    "map-experts": ("--step", "10"),
    "diagnose": ("--samples", "60"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the run that the README's examples speak of, trained for two steps."""
    from geomoe.config import DataConfig, RunConfig, TrainerConfig
    from geomoe.training import fit

    folder = tmp_path_factory.mktemp("readme")
    config = RunConfig(
        output=str(folder / "runs"),
        run_name="all-seed0",
        data=DataConfig(batch_size=16),
        trainer=TrainerConfig(max_epochs=1, loggers=("csv",), accelerator="cpu"),
    )
    result = fit(config, dry_run=True, quiet=True)
    wanted = folder / "quickstart/runs/bluemarble/moge/8-epochs"  # where `geomoe quickstart` leaves it
    wanted.parent.mkdir(parents=True)
    result.folder.rename(wanted)
    return folder


def test_there_are_three_examples_of_ten_lines_at_most():
    assert len(EXAMPLES) == 3
    for example in EXAMPLES:
        lines = [line for line in example.splitlines() if line.strip() and "import" not in line]
        assert len(lines) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, pytest.param(2, marks=pytest.mark.long)])  # a ViT of 224 pixels
def test_example(number, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    given: dict = {}
    exec(compile(EXAMPLES[number], f"README example {number}", "exec"), given)
    for path in re.findall(r'"(map/[^"]+)"', EXAMPLES[number]):
        assert Path(path).stat().st_size > 0


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_verbs_run_in_the_order_in_which_they_are_printed(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    checkpoint = "quickstart/runs/bluemarble/moge/8-epochs/checkpoints/best.ckpt"
    report = ["--output", "quickstart/evaluation/moge"]
    assert main(["evaluate", "--checkpoint", checkpoint, *report]) == 0, capsys.readouterr().err
    for line in VERBS.splitlines():
        program, *words = shlex.split(line, comments=True)
        capsys.readouterr()
        assert (program, main([*words, *SHORTER.get(words[0], ())])) == ("geomoe", 0), capsys.readouterr().err
    for left in ("map/experts.html", "diagnosis", "classes.csv", "embeddings.parquet"):
        assert Path(left).exists()
