"""Training runs: from a configuration to a folder with checkpoints, metrics and everything to repeat it."""

from geomoe.training.run import RunResult, fit
from geomoe.training.runfolder import RunFolder, run_folder

__all__ = ["RunFolder", "RunResult", "fit", "run_folder"]
