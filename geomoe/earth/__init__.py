"""What the Earth looks like: land, countries, outlines, the Mercator frame, nearest places; no torch."""
