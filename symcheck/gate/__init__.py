"""What is acceptable: gates, limits, baselines, waivers. Pure data, no torch."""
