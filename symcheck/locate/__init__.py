"""Where a symmetry breaks: which layer, which operation, which part of the group."""
