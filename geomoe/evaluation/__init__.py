"""Judge a checkpoint: scores per region with intervals, and what its experts do."""

from geomoe.evaluation.compare import Comparison, compare
from geomoe.evaluation.report import Report
from geomoe.evaluation.run import evaluate
from geomoe.evaluation.summary import Summary, summarize

__all__ = ["Comparison", "Report", "Summary", "compare", "evaluate", "summarize"]
