"""Mirrored, see mirrored.py."""

from mirrored import main

main("sevennet-mf0")
