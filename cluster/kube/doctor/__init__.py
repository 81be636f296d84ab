"""Checks of a cluster before anything is sent to it; the verb ``doctor`` prints them.

``needs`` reads the rendered objects, ``checks`` asks the API server about them, ``operator`` about KubeRay's;
``answers`` are those that may be kept from us; ``report`` prints.
"""
