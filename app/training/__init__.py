"""Training of recipes: distributed, resumable, in any layout.

``config``: the configuration, its layout and what it refuses. ``parallel``: a model distributed over ranks.
``worker``: the loop that every rank runs, also by ``torchrun -m app.training.worker``. ``storage``: the folder of a
run. These four import no Ray, MLflow or Redis. ``driver`` runs worker groups on Ray and registers the result;
``shared_data`` is what it puts into Ray's object store once; ``parameter_server`` is its other strategy;
``tracking`` shows and logs progress; ``dryrun`` estimates memory. ``recipe`` is the interface that recipes
implement, ``optimizer`` that of optimizers. ``jobs.train`` and ``jobs.deliver`` call ``driver.run.train``.
"""
