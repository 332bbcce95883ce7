"""Evaluation of a checkpoint: scores per region with intervals, and an analysis of its experts."""

from geomoe.evaluation.reports.compare import Comparison, compare
from geomoe.evaluation.reports.report import Report
from geomoe.evaluation.reports.summary import Summary, summarize
from geomoe.evaluation.run import EvaluationOptions, evaluate

__all__ = ["Comparison", "EvaluationOptions", "Report", "Summary", "compare", "evaluate", "summarize"]
