"""Recordings in other people's formats, as recording files.

    any_file        told by content: which of the formats below a file is, and its recordings
    device_file     GENEActiv, Axivity and ActiGraph
    wisdm           the text files of the WISDM data sets
    pamap2          the text files of PAMAP2
    ts_files        the UEA archive's .ts files
    edge_impulse    Edge Impulse's files (JSON, or CBOR), and the info.labels of its exports
    table           CSV with a header that names time and three axes

    rows, units     what those of text share
    labels          who did what when: one label for all, a diary, stretches of an export
    merge           several files' recordings as one
"""
