"""Loggers of training: settings, losses, measures, the report and the run, for tools that compare experiments."""
