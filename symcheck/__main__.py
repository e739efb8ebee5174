"""`python -m symcheck` is the command `symcheck`."""

from __future__ import annotations

import sys

from symcheck.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
