"""One module per noun; one function per operation of S3's API."""
