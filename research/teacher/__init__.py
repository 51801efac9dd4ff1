"""A teacher of depth for sharp photos: data, losses, networks, training and the judge (research, not in the wheel)."""
