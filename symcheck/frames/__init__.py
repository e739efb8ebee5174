"""Frames and canonicalisers: symmetrised networks, and audits of what symmetrises them."""
