"""EventBridge Schemas: registries, schemas and their versions."""
