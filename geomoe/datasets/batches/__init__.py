"""Batch samplers, and the conversion of collated samples to a ``Batch``."""
