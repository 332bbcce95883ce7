"""Small helpers for every room: atomic files, locks, offline switches, error texts."""
