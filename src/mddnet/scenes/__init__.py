"""Sets: scenes (sharp image, inverse depth, focused frames) made from captures."""
