"""Commands for those who work on geomoe; not part of the installed package."""
