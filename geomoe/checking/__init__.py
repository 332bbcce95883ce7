"""Checks of a data set before training: places, countries, images, and leakage between splits."""
