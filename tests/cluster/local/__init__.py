"""Tests of ``cluster.local``: real processes, real kills."""
