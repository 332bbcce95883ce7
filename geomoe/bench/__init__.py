"""Comparisons of methods under one budget, one tuning rule and one selection rule."""
