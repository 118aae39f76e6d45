"""Measures what the README reports: ``python -m bench --help``."""
