"""Mirrored, see mirrored.py."""

from mirrored import main

main("sevennet-22may")
