"""The runs of a bench: their folders, the workers that share them, what each leaves and costs."""
