"""Explanations of a model: attributions as outputs, so that their symmetry is audited like any other."""
