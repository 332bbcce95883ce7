"""iWildCam 2020, as in WILDS, with the cameras' places."""
