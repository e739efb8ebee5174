"""A user's own relation, `file.py:name`."""
