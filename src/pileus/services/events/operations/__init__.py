"""The operations of EventBridge, a module per noun."""
