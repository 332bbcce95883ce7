"""Which samples make a batch, and how they become one."""
