"""What is done to training images; never to coordinates."""
