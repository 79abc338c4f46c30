"""Amazon MQ: brokers that run elsewhere, by name."""
