"""The cost of a read of online features for its client, beside a naive one and Feast's.

``command`` starts ``server``, has ``arms`` read the rows of ``workload``, and makes the ``report``. ``feast_process``
runs ``feast_client`` under the Python that has Feast, which imports this package and has none of our dependencies.
"""
