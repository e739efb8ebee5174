"""Networks as the frameworks that people use store them: transformers, timm, escnn. Each is imported when asked for."""
