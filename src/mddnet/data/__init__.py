"""Data: from scene folders to the batches that a network learns from, and which places it may learn from."""
