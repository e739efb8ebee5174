"""Relations of images: tiling."""
