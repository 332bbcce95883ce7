"""Configurations of runs that take about a second."""

from __future__ import annotations

import pytest

from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig, TrainerConfig


def make_tiny(
    algorithm="moge", *, output, seed=0, run_name=None, data=None, model=None, around=(), **trainer
):
    """A small run's configuration: the real data, the quick network, a few steps."""
    options = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "threads": 1, **trainer}
    return RunConfig(
        algorithm=algorithm,
        around=tuple(around),
        seed=seed,
        run_name=run_name,
        output=str(output),
        data=DataConfig(**{"batch_size": 16, **(data or {})}),
        # everything random is switched on, so that a seed that is forgotten shows
        model=ModelConfig(**{"drop_path": 0.1, "expert_dropout": 0.3, **(model or {})}),
        encoder=EncoderConfig(legendre_polys=4, noise=0.3),
        trainer=TrainerConfig(**options),
    )


@pytest.fixture
def tiny(tmp_path):
    """Make a small run's configuration, whose runs lie in the test's own folder."""
    return lambda algorithm="moge", output=None, **keys: make_tiny(
        algorithm, output=output or tmp_path / "runs", **keys
    )


@pytest.fixture(scope="module")
def tiny_anywhere():
    """The same for fixtures of a module: where runs lie has to be said."""
    return make_tiny
