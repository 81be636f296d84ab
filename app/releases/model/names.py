"""Paths and names of the releases' application; light, for commands that only need the names."""

APP = "releases"
"""Name of the Serve application."""
PREFIX = "/releases"
"""Its routes' prefix at the gateway's address."""
HEALTH_PATH = f"{PREFIX}/health"
IMPORT_PATH = "app.releases.api.ingress:build"
"""What a Serve declaration imports."""
