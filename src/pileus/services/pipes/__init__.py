"""Amazon EventBridge Pipes: from a source through a filter and an enrichment to a target."""
