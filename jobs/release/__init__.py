"""Releases as a command sees them, over the gateway's HTTP: ``client``, ``states`` (the event stream), ``sentences``."""
