"""One package per AWS service, all with the same rooms; see docs/adding-an-operation.md."""
