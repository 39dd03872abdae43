"""python -m mmvq_train: the command mmvq-train."""

import sys

from mmvq_train.cli import main

sys.exit(main())
