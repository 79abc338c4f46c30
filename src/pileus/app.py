"""The composition root: configuration in, a running cloud out."""
