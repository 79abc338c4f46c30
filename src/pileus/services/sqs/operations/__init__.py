"""One module per noun, one function per operation."""
