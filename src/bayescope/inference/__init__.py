"""Predictions for images, with what tells how far to trust them: novelty, prediction sets, abstention, maps."""
