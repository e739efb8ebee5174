"""One checkpoint out of several: methods on states, what was kept layer by layer, and whether they belong together."""
