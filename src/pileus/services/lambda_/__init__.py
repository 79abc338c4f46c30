"""AWS Lambda: functions, their versions, and the environments that run them."""
