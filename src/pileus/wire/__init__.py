"""From bytes to an operation and back: the only place that knows protocols, headers and XML."""
