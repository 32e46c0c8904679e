"""Runs the demonstration: ``python -m hack.demo``."""

import sys

from hack.demo.cli import main

sys.exit(main())
