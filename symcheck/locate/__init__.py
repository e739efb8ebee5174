"""Where a symmetry breaks: which layer, which operation, which part of the group.

    from symcheck.locate import How, locate
"""

from symcheck.locate.locate import How, locate
from symcheck.locate.result import Located

__all__ = ["How", "Located", "locate"]
