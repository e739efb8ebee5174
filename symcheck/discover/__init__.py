"""Which symmetries a network has, when nobody declared them.

    from symcheck.discover import Search, discover
"""

from symcheck.discover.discover import Search, discover
from symcheck.discover.result import Discovery

__all__ = ["Discovery", "Search", "discover"]
