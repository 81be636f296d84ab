"""Data-parallel training by sharded parameter servers: ``train.train_with_servers`` runs it, ``config`` is what it is
told. Nothing is imported here: who only reads a configuration needs neither torch nor Ray."""
