"""Methods that make the features of the training domains alike."""
