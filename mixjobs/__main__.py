"""The command `mixjobs`, as ``python -m mixjobs``."""

import sys

from mixjobs.cli import main

sys.exit(main())
