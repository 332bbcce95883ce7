"""Checks of a data set before training: places, countries, images, what splits know of one another."""
