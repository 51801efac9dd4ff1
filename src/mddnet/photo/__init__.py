"""One photo: decoding, orientation, colour, lens facts."""
