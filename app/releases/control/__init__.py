"""The controller of releases: observes the cluster, decides, stores the decision, carries it out.

``controller`` is the loop and what ``api`` calls; ``cluster_state`` observes, ``evaluation`` brings the judge's
verdict, ``action_executor`` acts (``deployment``, ``outbox``) by ``background_tasks``, which ``task_names`` names;
``release_store`` is Redis; ``release_admission`` checks what is to begin; ``reconciler`` repairs models without a
release; ``release_metrics`` reports.
"""
