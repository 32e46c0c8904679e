"""``python -m aos.controllers``: the operator as a process."""

import sys

from aos.controllers.main import main

sys.exit(main())
