"""Progress: how whoever works says how far the work is. Knows nothing of the work."""

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Is told how much is done, from 0 to 1, and what is going on; what it raises ends the work."""
