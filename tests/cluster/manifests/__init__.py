"""The manifests of ``cluster/``, rendered by the real kubectl and held against schemas and invariants."""
