"""Homeport: an EC2 fleet that you can run at home."""

__version__ = "0.1.0"
