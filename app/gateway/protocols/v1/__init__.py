"""KServe's V1 protocol over HTTP."""
