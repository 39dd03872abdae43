"""A doctor for firmware authors: what is heard of a device in, findings out. Pure; `mmvq-bridge check` does the I/O."""
