"""Data-parallel training by sharded parameter servers. ``driver.strategies`` calls ``train.train_with_servers``.

``actors`` places and replaces servers and workers; ``server`` holds one range (``ranges``) of the parameters as a
``shard``, with a protocol in ``synchronous`` or ``stale`` and the bound of ``clocks``; ``worker`` computes gradients
of a ``flat`` model and exchanges them by a ``client``; ``checkpoints`` are files of servers; ``curve`` reports
losses; ``config`` configures, ``job`` travels to the actors, ``failures`` are errors. Nothing is imported here:
reading a configuration needs neither torch nor Ray.
"""
