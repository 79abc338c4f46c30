"""What DAX's clients speak on a cluster's port: CBOR in both directions, without lengths around it."""
