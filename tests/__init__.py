"""The tests have the shape of the source. Importing the package sets this process apart from a stack in use."""

import os

os.environ |= {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray reads them at import
for _name in [name for name in os.environ if name.startswith("TIDEGATE_") or name == "RAY_ADDRESS"]:
    del os.environ[_name]
