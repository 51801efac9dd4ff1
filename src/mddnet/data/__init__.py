"""Data: from scene folders to the batches that a network learns from, and which locations it may learn from."""
