"""Event source mappings: functions fed from queues and streams."""
