"""AWS's service models: loading, shapes, constraints."""
