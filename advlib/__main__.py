"""`python -m advlib` is the `advlib` command."""

import sys

from advlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
