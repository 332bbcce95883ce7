"""Evaluation reports: values, text, figures and pages, comparisons and summaries."""
