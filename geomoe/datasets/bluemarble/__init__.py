"""The embedded data set: NASA Blue Marble imagery, MODIS land cover."""
