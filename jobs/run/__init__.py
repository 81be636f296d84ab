"""The demo that ``make run`` runs: ``story`` is its steps, ``progress`` and ``summary`` print them.

Its traffic: ``traffic`` sends it, ``features`` moves the store's clock along, ``labels`` posts what became known,
``tally`` counts. ``tidegate demo`` calls it.
"""
