"""One checkpoint out of several, with what was kept of each.

    from symcheck.merge import merge
"""

from symcheck.merge.merge import Merge, merge

__all__ = ["Merge", "merge"]
