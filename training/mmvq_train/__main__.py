"""python -m mmvq_train: the command mmvq-train."""

from mmvq_train.cli import main

main()
