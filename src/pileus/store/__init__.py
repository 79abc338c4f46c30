"""The ordered transactional key-value store and the blobs: all state of a cloud lives here."""
