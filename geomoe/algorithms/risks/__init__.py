"""Methods that compare the losses or the gradients of the training domains."""
