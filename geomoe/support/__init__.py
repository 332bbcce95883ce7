"""Small helpers that every room may use: whole files, locks, switches, words."""
