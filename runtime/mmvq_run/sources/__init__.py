"""Where records come from: a port, a pipe, files of several kinds."""
