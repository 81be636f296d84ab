"""The cost of a read of online features for its client, beside a naive one and Feast's.

The Python that has Feast imports this package for its own loop and has none of our dependencies.
"""
