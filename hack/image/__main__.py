"""Runs the command line."""

import sys

from hack.image.cli import main

sys.exit(main())
