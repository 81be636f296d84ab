"""The two pictures of the README: a request's way and a release's phases.

``python -m jobs.pictures`` draws them anew beside this file; a test compares what is there with what it draws.
"""
