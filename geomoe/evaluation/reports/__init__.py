"""Finished evaluations: the report, its text, figures and pages, comparisons and summaries."""
