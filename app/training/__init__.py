"""The training engine: it is handed a recipe and knows nothing of any particular one."""
