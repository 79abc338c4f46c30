"""Amazon DynamoDB Accelerator (DAX)."""
