"""Weight-space symmetry: which changes of a network's tensors leave its function alone, as data and as actions."""
