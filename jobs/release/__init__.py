"""Releases over the gateway's HTTP: ``client``, ``states``, ``sentences``, ``follow``, ``plans``."""
