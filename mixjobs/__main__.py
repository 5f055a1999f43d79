"""``python -m mixjobs`` is the `mixjobs` command."""

import sys

from mixjobs.cli import main

sys.exit(main())
