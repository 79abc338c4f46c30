"""The operations of EventBridge Scheduler, a module per noun."""
