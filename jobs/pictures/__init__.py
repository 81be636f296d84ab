"""The two pictures of the README: a request's way (``request``) and a release's phases (``release``), by ``drawing``.

``python -m jobs.pictures`` draws them anew beside this file; a test compares what is there with what it draws.
"""
