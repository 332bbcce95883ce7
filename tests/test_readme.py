"""The README's Python examples are run as they are printed, on a real (tiny) run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)


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


def test_there_are_three_examples_of_three_lines():
    assert len(EXAMPLES) == 3
    for example in EXAMPLES:
        lines = [line for line in example.splitlines() if line.strip() and "import" not in line]
        assert len(lines) <= 9


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, pytest.param(2, marks=pytest.mark.long)])  # a ViT of 224 pixels
def test_example(number, trained, monkeypatch, capsys):
    import torch

    monkeypatch.chdir(trained)
    rng = np.random.default_rng(0)
    given = {
        "images": rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8),
        "lonlat": np.array([[10.0, 50.0], [100.0, 15.0], [-60.0, -10.0], [np.nan, np.nan]]),
        "loader": [
            (
                torch.randn(2, 3, 224, 224),
                torch.tensor([1, 4]),
                torch.tensor([[7.0, 46.0], [77.2, 28.6]], dtype=torch.float64),
            )
        ],
    }
    exec(compile(EXAMPLES[number], f"README example {number}", "exec"), given)
    for path in re.findall(r'"(map/[^"]+)"', EXAMPLES[number]):
        assert Path(path).stat().st_size > 0
