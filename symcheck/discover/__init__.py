"""Which symmetries a network has, when nobody declared them."""
