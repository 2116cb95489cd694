"""Learning: the losses, the draws and the loop that train a class-conditional denoiser."""
