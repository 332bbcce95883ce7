"""Data on the Earth: land, countries, outlines, Web Mercator, nearest places; no torch."""
