"""Paths between two checkpoints: the loss along them, its barrier, and what the barrier says about symmetry."""
