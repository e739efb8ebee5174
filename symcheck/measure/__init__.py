"""The core: the defect kernel, the batched device loop, floors, intervals and verdicts."""
