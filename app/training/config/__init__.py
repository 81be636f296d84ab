"""The configuration of a run, and every decision that follows from it alone.

``train_config`` reads and validates it, ``shipped`` finds it by name, ``parallel_dims`` resolves its layout for a
number of workers, ``validation`` refuses what is not possible, ``world_sizes`` lists the sizes that a run may have,
``schedule`` gives each step its rows and learning rate. Called by driver, worker, dry run and command line.
"""
