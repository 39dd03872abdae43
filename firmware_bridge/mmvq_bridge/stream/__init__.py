"""A wearable's bytes as they come, and the timed samples in them: what the runtime, `check` and `record` share."""
