"""The HTTP service: questions over a network or a socket, answered by worker processes (extra `serve`)."""
