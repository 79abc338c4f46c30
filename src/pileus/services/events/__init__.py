"""Amazon EventBridge: buses, rules and their targets, archives and replays, connections and API destinations."""
