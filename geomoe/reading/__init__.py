"""Readers of user files: rasters, pictures, sheets and image tables. Independent of any data set."""
