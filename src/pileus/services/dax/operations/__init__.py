"""The operations of DAX's control plane."""
