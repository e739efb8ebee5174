"""Relations of atoms: supercells, extensivity, forces as gradients, conserved momenta, smoothness at the cut-off."""
