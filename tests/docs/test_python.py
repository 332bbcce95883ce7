"""The examples of docs/python.md are run as they are printed, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    names: dict = {}
    for number, example in enumerate(EXAMPLES):
        exec(compile(example, f"docs/python.md, example {number}", "exec"), names)
    assert names["summary"].predicted == 3
    assert 0 < names["scores"].held_out.accuracy < 1
    assert (tmp_path / "own-map" / "experts.html").stat().st_size > 10_000
    assert names["trainer"].global_step == 2
    assert (tmp_path / "own.ckpt").exists()
