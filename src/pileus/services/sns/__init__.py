"""Amazon SNS: see README.md."""
