"""Rotated-Colored MNIST with a configurable number of environments."""
