"""Equivariant linear maps between representations: their dimension, and how far a given map is from them."""
