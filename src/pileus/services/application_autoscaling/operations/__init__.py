"""Application Auto Scaling's operations, a module per noun."""
