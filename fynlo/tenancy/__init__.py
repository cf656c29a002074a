"""Separates restaurants: scope, fence, composite keys. Knows nothing of the apps."""
