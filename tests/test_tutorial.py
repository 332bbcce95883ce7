"""The tutorial is followed to the letter, from an empty folder to the map."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.S)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder in which every command of the tutorial was run."""
    folder = tmp_path_factory.mktemp("tutorial")
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    settings = {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = "set -euo pipefail\n" + "".join(COMMANDS)
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return folder / "my-map"


@pytest.mark.long
@pytest.mark.slow
def test_what_the_tutorial_leaves(followed):
    assert len(list((followed / "images").iterdir())) == 400
    crs = set()
    for path in (followed / "images").iterdir():
        with rasterio.open(path) as image:
            crs.add(image.crs.to_epsg())
    assert {4326, 3857, 3413} <= crs
    assert any(32601 <= code <= 32760 for code in crs)
    side = followed / "points.csv.geomoe"
    assert {path.name for path in side.iterdir()} == {"images.parquet", "split-0.csv", "statistics.json"}
    report = json.loads((followed / "report/report.json").read_text(encoding="utf-8"))
    assert report["scores"]["all"]["overall"]["accuracy"] > 0.5  # of four classes, equally many
    features = json.loads((followed / "predicted.geojson").read_text(encoding="utf-8"))["features"]
    assert len(features) == 400
    assert not any(feature["properties"]["unknown_place"] for feature in features)
    with rasterio.open(followed / "scene.tif") as scene, rasterio.open(followed / "classified.tif") as found:
        assert found.crs == scene.crs
        np.testing.assert_allclose(found.bounds[:1], scene.bounds[:1])
        np.testing.assert_allclose(found.bounds[3:], scene.bounds[3:])
        classes = found.read(1)
        names = [found.tags(1)[f"CLASS_{number}"] for number in range(4)]
    assert classes.shape == (-(-1095 // 16), -(-1020 // 16))
    desert = classes[round((38 - 24) * 15 / 16), round((18 + 10) * 15 / 16)]  # the Sahara
    assert names[desert] == "Barren"
    assert (followed / "map/experts.html").stat().st_size > 10_000
