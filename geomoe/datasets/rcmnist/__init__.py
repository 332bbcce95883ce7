"""Rotated-Colored MNIST: as many environments as asked for."""
