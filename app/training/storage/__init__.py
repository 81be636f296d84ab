"""The folder of a run, local or at an fsspec address. Workers write checkpoints to it, drivers read them.

``run_folder``: record, checkpoints, other files. ``run_identity``: the folder's name, from configuration and data.
"""
