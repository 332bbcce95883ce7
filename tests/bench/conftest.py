"""A small data set on disk with places and domains, on which a run takes less than a second."""

from __future__ import annotations

import pytest

from tests.pictures import make_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with these pictures."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def small(pictures):
    """A spec whose runs take less than a second."""
    return {
        "data": {"name": "folder", "root": str(pictures), "metadata": "points.csv", "batch_size": 16},
        "held_out": "east",
        "algorithms": ["erm", {"name": "moge", "settings": {"model": {"num_experts": 2, "top_k": 1}}}],
        "seeds": 2,
        "budget": 6,
        "bootstrap": 50,
        "settings": {
            "trainer": {"threads": 1, "accelerator": "cpu"},
            "encoder": {"legendre_polys": 4},
            "model": {"image_size": 32},
        },
    }


@pytest.fixture
def small_bench(pictures, tmp_path):
    """Words of a command for one short run, and its output folder."""
    words = [
        "bench",
        "--data",
        "folder",
        "--algorithms",
        "erm",
        "--budget",
        "3",
        "--seeds",
        "1",
        "--held-out",
        "east",
    ]
    settings = [
        f"data.root={pictures}",
        "data.metadata=points.csv",
        "data.batch_size=16",
        "trainer.accelerator=cpu",
    ]
    flags = [word for one in settings for word in ("--set", one)]
    return [*words, *flags, "--output", str(tmp_path / "out")], tmp_path / "out"
