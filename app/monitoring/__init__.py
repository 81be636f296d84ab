"""Measurements of running parts.

``metrics``: Ray metrics of counters and latencies, used by every part. ``guards``: what each guard of a release
measures of an answer. ``samples``: losses of a release's requests on their way from gateway replicas to the judge.
``labels``: the join of labels with predictions, run by the release controller. ``sums``: the plain values that both
add up.
"""
