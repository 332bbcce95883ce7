"""Your own images: a table, or files that know where they are."""
