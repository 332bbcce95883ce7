"""Decoded and resized images in a memory map."""
