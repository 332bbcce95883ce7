"""Training runs: from a configuration to a folder with checkpoints, metrics and all data to reproduce it."""

from geomoe.training.options import FitOptions, RunResult
from geomoe.training.run import fit, is_first_process
from geomoe.training.runfolder import RunFolder, run_folder

__all__ = ["FitOptions", "RunFolder", "RunResult", "fit", "is_first_process", "run_folder"]
