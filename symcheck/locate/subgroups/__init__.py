"""Which part of a group a network respects: its subgroups, spectra over the group, curves along it."""
