"""Benchmarks and tools, which are run by hand, import names that geomoe has."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tools").rglob("*.py")])


def missing(source):
    """Names that are imported from modules of this repository and are not there."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or str(node.module).split(".")[0] != "geomoe":
            continue
        module = importlib.import_module(node.module)
        for name in (alias.name for alias in node.names):
            package = Path(module.__file__).parent / name
            inside = package.with_suffix(".py").is_file() or package.is_dir()
            if not hasattr(module, name) and not inside:
                found.append(f"{node.module}.{name}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imported_names_are_there(file):
    assert missing(file.read_text(encoding="utf-8")) == []


def test_a_name_that_has_moved_is_found():
    source = "from geomoe.support.files import no_such_function\nfrom geomoe.support import files\n"
    assert missing(source) == ["geomoe.support.files.no_such_function"]


@pytest.mark.long
@pytest.mark.slow
def test_benchmarks_of_networks_run_with_torch_and_timm_alone():
    """So they run on a machine with a GPU and without the geospatial stack and Lightning."""
    names = (
        "torchgeo rasterio geopandas folium pandas lightning torchmetrics matplotlib sklearn scipy rich ot"
    )
    code = (
        f"import sys; sys.modules |= dict.fromkeys({names.split()!r})\n"
        "from benchmarks import messi, methods, moge\n"
        "sys.argv = 'methods --rounds 1 --batch 8 --methods moge messi_ot gmoe d3g swad'.split()\n"
        "methods.main()\n"
        "sys.argv = 'moge --batch 2 --repeats 1'.split()\n"
        "moge.main()\n"
        "case = messi.cases()['iWildCam']\n"
        "messi.head_steps('iWildCam', case, 1, 1)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "| `messi_ot` | " in ended.stdout
    assert "training step" in ended.stdout
    assert "OT step / ERM step: " in ended.stdout
