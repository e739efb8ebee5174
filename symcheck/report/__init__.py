"""What was found: pure data and its renderings. Nothing here imports torch."""
