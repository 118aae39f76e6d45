"""Processes, sockets and signals around the application."""
