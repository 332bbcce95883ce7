"""What every HTML page shares: the shell that needs no network, layers of marks, colours, assets."""
