"""Homeport: an EC2 fleet that you can run at home."""
