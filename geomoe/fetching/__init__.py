"""Downloads on request: known sources, transfer, hashes and unpacking."""
