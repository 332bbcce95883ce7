"""Judge a checkpoint: scores per region with intervals, and what its experts do."""

from geomoe.evaluation.compare import Comparison, compare
from geomoe.evaluation.report import Report
from geomoe.evaluation.run import evaluate

__all__ = ["Comparison", "Report", "compare", "evaluate"]
