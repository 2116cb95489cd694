"""Export of a trained model: the scoring of one draw as a graph for other runtimes, plan and calibration as JSON."""
