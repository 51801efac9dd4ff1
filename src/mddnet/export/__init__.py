"""Export of a trained network to the format that prediction runs on."""
