"""The cost of the engine: under Ray Train, beside a loop written by hand, and while it saves.

``command`` prints the ratios. ``arms`` are the loops; ``turns`` has them compute in turns, ``steps`` times them,
``ranks`` starts gloo processes. ``saving``, ``memory`` and ``gpu`` measure the rest.
"""
