"""The same before it learned anything."""

from othello import main

main("othello-untrained")
