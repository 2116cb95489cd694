"""Training of the score model: loop, losses, class-balanced sampling, augmentation and optimiser state."""
