"""The typed configuration of a run: its keys, its rules, and the sources of its values."""

from geomoe.config.schema import (
    DataConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainerConfig,
)

__all__ = [
    "DataConfig",
    "EncoderConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RunConfig",
    "TrainerConfig",
]
