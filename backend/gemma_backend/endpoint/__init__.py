"""Reaching a server: URL or socket, key, TLS, and what it offers."""
