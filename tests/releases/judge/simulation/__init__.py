"""How often the judge is wrong and how long it takes, beside a z-test, a threshold check and Mann-Whitney.

``samples`` draws releases, ``methods`` judges them, ``promises`` says what must hold; ``command`` is what
``python -m jobs.bench judge`` runs.
"""
