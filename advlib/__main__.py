"""`python -m advlib` is the `advlib` command."""

import sys

from advlib.cli import main

sys.exit(main())
