"""The cost of the loss of Ray's head: requests, deploys, actors and a training run while it is away and comes back.

``scenario`` runs it, ``promises`` says what must hold; ``command`` is what ``tidegate bench head-loss`` runs.
"""
