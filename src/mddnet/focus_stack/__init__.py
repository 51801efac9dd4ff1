"""From the photos of a focal stack, or two photos, to an all-in-focus image and depth."""
