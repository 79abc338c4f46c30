"""Amazon EventBridge Scheduler: schedules, and groups of them."""
