"""The operations of EventBridge Schemas."""
