"""Capture: what a camera gave, untouched."""
