"""HTTP without a framework, for the raw routes of the fronts: ``endpoint`` and ``content_coding``."""
