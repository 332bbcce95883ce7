"""Downloads, when asked: what there is to fetch, the transfer, the hashes, the unpacking."""
