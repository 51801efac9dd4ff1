"""The network: encoder, global context, two decoders, and the soft connection between them."""
