"""Administration: ``GET`` and ``PUT /routes/{model}`` for keys with the scope admin."""
