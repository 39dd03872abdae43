"""python -m mmvq_export: the command mmvq-export."""

from mmvq_export.cli import main

main()
