"""The code of one rank, without Ray, MLflow and Redis. ``driver.job`` and torchrun call it.

``loop`` is the training loop; ``loader`` its batches; ``checkpoint`` saves and restores; ``command_channel`` brings
the driver's commands to all ranks at one step; ``protocol`` holds these messages; ``probe`` leaves rows to check the
consolidated model with; ``profiler`` traces some steps.
"""
