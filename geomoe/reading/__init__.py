"""People's files: rasters, pictures, sheets, tables of images. Nothing here knows a data set."""
