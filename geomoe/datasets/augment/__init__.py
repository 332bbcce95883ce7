"""Augmentation of training images; coordinates are never changed."""
