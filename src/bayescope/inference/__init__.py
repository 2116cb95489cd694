"""Predictions with measures of their trustworthiness: trust tests, prediction sets, abstention, evidence maps."""
