"""Bringing checkpoints onto one another by the symmetries of their weights."""
