"""Relations of sequences: causality, padding, batch-mates, variants of the same text."""
