"""python -m mmvq_export: the command mmvq-export."""

import sys

from mmvq_export.cli import main

sys.exit(main())
