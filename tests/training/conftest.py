"""Configurations of runs that take about a second."""

from __future__ import annotations

import pytest

from geomoe.config import DataConfig, EncoderConfig, ModelConfig, RunConfig, TrainerConfig


@pytest.fixture
def tiny(tmp_path):
    """Make a small run's configuration: the real data, the quick network, a few steps."""

    def make(
        algorithm="moge", *, output=None, seed=0, run_name=None, data=None, model=None, around=(), **trainer
    ):
        options = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "threads": 1, **trainer}
        return RunConfig(
            algorithm=algorithm,
            around=tuple(around),
            seed=seed,
            run_name=run_name,
            output=str(output or tmp_path / "runs"),
            data=DataConfig(**{"batch_size": 16, **(data or {})}),
            # everything random is switched on, so that a seed that is forgotten shows
            model=ModelConfig(**{"drop_path": 0.1, "expert_dropout": 0.3, **(model or {})}),
            encoder=EncoderConfig(legendre_polys=4, noise=0.3),
            trainer=TrainerConfig(**options),
        )

    return make
