"""Your own images, with places from a table or from the georeference of the files."""
