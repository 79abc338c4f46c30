"""The operations of EventBridge Pipes, a module per noun."""
