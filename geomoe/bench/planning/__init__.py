"""The plan of a bench: spec, rows, runs, and the specs that are shipped. Only dense twins need torch."""
