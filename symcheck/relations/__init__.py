"""Relations `R(f(a₁x), …, f(x)) = 0` that no group states: supercells, extensivity, causality, padding, momenta."""
