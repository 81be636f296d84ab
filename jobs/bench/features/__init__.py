"""What a read of online features costs its client, beside a naive one and Feast's.

The Python that has Feast imports this package for its own loop and has none of our dependencies.
"""
