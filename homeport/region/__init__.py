"""The one-machine AWS region."""

import os

# moto reads these once, when it is first imported, which no module of this package does before this
# line: no preset images (there are 1285), no CORS.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")
