"""The typed configuration of a run: its keys, its rules, where its values come from."""

from geomoe.config.schema import (
    Algorithm,
    DataConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainerConfig,
)

__all__ = [
    "Algorithm",
    "DataConfig",
    "EncoderConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RunConfig",
    "TrainerConfig",
]
