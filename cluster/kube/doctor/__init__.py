"""Checks of a cluster before anything is sent to it; the verb ``doctor`` prints them.

``needs.py`` reads the rendered objects, ``checks.py`` asks the API server about them, ``report.py`` prints.
"""
