"""Predictions with measures of their trustworthiness: novelty test, prediction sets, abstention, evidence maps."""
