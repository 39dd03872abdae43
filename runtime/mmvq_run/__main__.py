"""python -m mmvq_run: the command mmvq-run."""

import sys

from mmvq_run.cli import main

sys.exit(main())
