"""The model under every server: a dot product of four numbers."""
