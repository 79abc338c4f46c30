"""One function per operation, a module per noun."""
