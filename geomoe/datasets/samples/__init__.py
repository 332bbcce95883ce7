"""Writers of small data sets in the exact layout of the real ones, with all their pitfalls."""
