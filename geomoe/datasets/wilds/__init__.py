"""Adapters for data sets of the wilds package, and wilds' own scores."""
