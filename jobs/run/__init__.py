"""The demo that ``make run`` runs: ``story`` is its steps, ``progress`` and ``summary`` print them.

Its steps: ``command`` calls ``tidegate``, ``stack`` submits jobs, ``releasing`` begins and follows releases,
``strict`` makes a broken challenger. Its traffic: ``traffic`` sends it, ``features`` moves the store's clock along,
``labels`` posts what became known, ``tally`` and ``freshness`` count. Seen of it: ``record`` keeps a release,
``view`` draws it. ``tidegate demo`` calls it.
"""
