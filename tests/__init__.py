"""The tests have the shape of the source. Importing the package sets a test session apart from a stack in use.

Programs that tests start import modules of this package too; their environment stays as it was given to them.
"""

import os
import sys

if "pytest" in sys.modules:
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray reads them at import
    for _name in [name for name in os.environ if name.startswith("TIDEGATE_") or name == "RAY_ADDRESS"]:
        del os.environ[_name]
