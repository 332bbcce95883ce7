"""Training runs: from a configuration to a folder with checkpoints, metrics and everything to repeat it."""

from geomoe.training.run import RunResult, fit, is_first_process
from geomoe.training.runfolder import RunFolder, run_folder

__all__ = ["RunFolder", "RunResult", "fit", "is_first_process", "run_folder"]
