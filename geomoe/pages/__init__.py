"""Shared parts of HTML pages: the offline shell, layers of marks, colours and assets."""
