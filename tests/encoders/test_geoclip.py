"""GeoCLIP's location encoder against the package that brings its weights."""

from __future__ import annotations

import sys

import pytest
import torch

from geomoe.encoders import GeoCLIP, create_encoder
from geomoe.errors import DependencyNotFoundError


@pytest.mark.slow
def test_all_capsules_are_geoclips_own_embedding(places):
    pytest.importorskip("geoclip")
    from geoclip.model.location_encoder import LocationEncoder

    theirs = LocationEncoder().eval()(places.flip(1).float())
    torch.testing.assert_close(GeoCLIP((0, 1, 2))(places), theirs, rtol=0, atol=2e-4)


@pytest.mark.slow
def test_capsules_add_up(places):
    pytest.importorskip("geoclip")
    single = [GeoCLIP((i,)).freeze()(places) for i in range(3)]
    torch.testing.assert_close(GeoCLIP((2, 0))(places), single[0] + single[2])
    assert not torch.allclose(single[0], single[1])


def test_low_capsule_is_smooth_at_neighbouring_places():
    pytest.importorskip("geoclip")
    encoder = create_encoder("geoclip", capsules=(0,)).eval()
    near = encoder.features(torch.tensor([[10.0, 50.0], [10.1, 50.0], [100.0, -30.0]], dtype=torch.float64))
    assert (near[0] - near[1]).norm() < 0.1 * (near[0] - near[2]).norm()


def test_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "geoclip", None)
    for name in [name for name in sys.modules if name.startswith("geoclip.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DependencyNotFoundError, match=r"pip install 'geomoe\[geoclip\]'"):
        create_encoder("geoclip")
