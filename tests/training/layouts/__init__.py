"""The proof of the training engine: whatever the layout, the loss curve is that of one process.

``cases`` are the layouts, ``run`` what each repeats and the plain loop it is compared with, ``command`` what
``tidegate bench layouts`` prints of all of them.
"""
