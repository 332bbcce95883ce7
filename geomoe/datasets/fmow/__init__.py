"""Functional Map of the World, as in WILDS, and with a region left out."""
