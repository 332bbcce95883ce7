"""The runs of a bench: their folders, the workers that share them, their results and their cost."""
