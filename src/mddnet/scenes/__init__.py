"""Scenes (sharp image, inverse depth, focused frames) built from captures."""
