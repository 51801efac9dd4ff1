"""Readers of captures: focal stacks, light fields, RGB-D, stereo, rigs and other unprocessed data."""
