"""The operations of Amazon MQ."""
