"""Progress and origin of a run, for its driver.

``progress`` turns workers' reports into lines, MLflow metrics (``metric_log``) and Ray metrics (``gauges``);
``utilisation`` knows devices' peaks; ``provenance`` records code, packages and machine.
"""
