"""Rate of the judge's false alarms and its time to a verdict, beside a z-test, a threshold check and Mann-Whitney.

``samples`` draws releases, ``methods`` judges them, ``promises`` says what must hold; ``command`` is what
``tidegate bench judge`` runs.
"""
