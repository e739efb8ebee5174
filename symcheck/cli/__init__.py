"""The command line: one file a command; parse, call, render. Heavy things are imported inside the command."""
