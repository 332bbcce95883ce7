"""Commands for the development of geomoe; they are not part of the installed package."""
