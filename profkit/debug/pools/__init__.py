"""What each connection pool of this process is doing, in one shape, whatever library it is of.

No library is imported: a pool of one that the application has not loaded cannot be there.
"""

from profkit.debug.pools.figures import PoolReport
from profkit.debug.pools.reading import PoolReader
from profkit.debug.pools.search import SearchReport

__all__ = ["PoolReader", "PoolReport", "SearchReport"]
