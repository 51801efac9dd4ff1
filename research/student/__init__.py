"""The training data of the shipped model."""
