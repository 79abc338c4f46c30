"""Amazon DynamoDB: tables, items, indexes and the expression language."""
