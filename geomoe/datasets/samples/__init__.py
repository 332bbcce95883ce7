"""Small data sets in the exact layout of the real ones, with every trap in them: one writer a file."""
