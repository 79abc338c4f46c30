"""What every other package may use: clock, ids, ARNs, errors, principals, settings, streams."""
