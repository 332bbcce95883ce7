"""Data sets of the wilds package as ours, and its own scores."""
