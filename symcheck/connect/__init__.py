"""What lies between two checkpoints: paths, losses along them, barriers.

    from symcheck.connect import connect
"""

from symcheck.connect.connect import connect
from symcheck.connect.result import Connection

__all__ = ["Connection", "connect"]
