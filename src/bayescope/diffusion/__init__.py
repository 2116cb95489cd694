"""The class-conditional score model: schedules, denoisers, networks and the probability flow."""
