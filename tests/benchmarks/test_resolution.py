"""The chequerboard of benchmarks.resolution, and who can learn it."""

from __future__ import annotations

import pytest
import torch

from benchmarks import resolution


def test_colours_are_those_of_a_chequerboard():
    lonlat, colour = resolution.draw(torch.Generator().manual_seed(0))
    west, south, east, north = resolution.BOX
    assert lonlat.shape == (2 * resolution.PLACES, 2)
    for (lon, lat), found in zip(lonlat[:200].tolist(), colour[:200].tolist(), strict=True):
        column, row = int((lon - west) / ((east - west) / 8)), int((lat - south) / ((north - south) / 8))
        assert found == (column + row) % 2
        assert west <= lon <= east
        assert south <= lat <= north


@pytest.mark.slow
def test_fine_waves_learn_it_and_coarse_harmonics_do_not():
    fine, coarse = (
        resolution.run(resolution.ENCODERS[name], seed=0, epochs=10)
        for name in ("fourier, 100 km", "sh, L = 10")
    )
    assert fine.right > 0.7
    assert coarse.right < 0.6
    assert (fine.features, coarse.features) == (256, 100)
    line = resolution.row("fine", [fine, fine])
    assert line.startswith("| fine | 256 | 100 km | ")
    assert f"{100 * fine.right:.1f} ± 0.0" in line
