"""Runs the helper."""

import sys

from aos.agent.helper.main import main

sys.exit(main())
