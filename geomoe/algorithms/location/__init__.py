"""Methods that use the places of the images, without experts."""
