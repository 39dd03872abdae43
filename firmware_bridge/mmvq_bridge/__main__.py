"""python -m mmvq_bridge: the command mmvq-bridge."""

import sys

from mmvq_bridge.cli import main

sys.exit(main())
