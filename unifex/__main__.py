"""``python -m unifex``."""

import sys

from unifex.cli import main

sys.exit(main())
