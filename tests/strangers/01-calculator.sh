# audit a calculator
cat > calculators.py <<'END'
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Field(EMT):
    """EMT in a field along x, so that the energy knows where the atoms are."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, all_changes)
        self.results["energy"] += 0.5 * atoms.positions[:, 0].sum()
        self.results["forces"] = self.results["forces"] - [0.5, 0.0, 0.0]
END
few="--samples 8 --elements 4 -q"
expect 0 'energy, proper +✓ exact' \
  symcheck audit --calculator ase.calculators.emt:EMT --structures builtin:Cu --preset potential $few
expect 0 'not measured: .*Supercell' \
  symcheck audit --calculator ase.calculators.emt:EMT --structures builtin:H2O --preset potential $few
expect 1 'energy +✗ broken' \
  symcheck audit --calculator calculators.py:Field --structures builtin:Cu --preset potential $few -o field.json
expect 0 'NetForce' symcheck report show field.json
expect 2 "did you mean 'EMT'" symcheck audit --calculator ase.calculators.emt:EMTT --structures builtin:Cu -q
