"""Training runs: from a configuration to a folder with checkpoints, metrics and what reproduces the run."""

from geomoe.training.options import FitOptions, RunResult
from geomoe.training.resumable import ResumableData
from geomoe.training.run import facts_of, fit, is_first_process, train
from geomoe.training.runfolder import RunFolder, run_folder
from geomoe.training.task import TrainingTask

__all__ = [
    "FitOptions",
    "ResumableData",
    "RunFolder",
    "RunResult",
    "TrainingTask",
    "facts_of",
    "fit",
    "is_first_process",
    "run_folder",
    "train",
]
