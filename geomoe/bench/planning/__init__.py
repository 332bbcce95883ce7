"""What a bench does: spec, rows, runs, and the specs that are shipped. Only dense twins need torch."""
