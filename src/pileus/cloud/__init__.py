"""What a service sees of the running node: the context of a call, the cloud, the shape of a manifest."""
