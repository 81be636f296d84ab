"""The driver of a run on a Ray cluster. ``run.train`` is the entry; ``jobs.train`` and ``jobs.deliver`` call it.

``strategies`` chooses ranks or parameter servers; ``supervisor`` goes from worker group to worker group by the rules
of ``restarts`` and the room that ``nodes`` finds; ``worker_group`` is one group under Ray Train, which runs ``job``;
``monitor`` is the actor between both; ``run_lock`` keeps a second driver out; ``mlflow_run`` logs and registers.
"""
