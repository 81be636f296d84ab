"""The job ``tidegate train``: ``config_file`` reads its configuration, ``dry_run`` checks it, ``run`` trains."""
