"""Training: the loop, the optimiser, the record of a run that it resumes from."""
