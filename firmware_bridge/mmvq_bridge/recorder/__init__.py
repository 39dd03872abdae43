"""Labelled recordings while somebody moves: what a port sends and a person types, kept and made a recording file.

    port ──── records ──► Recorder ──► rows ──► FILE.part ──► finish ──► FILE
    keyboard ─ words ───►  (live)               (journal)    (keeping)

`labels`, `live`, `journal` and `report` are pure; `keyboard`, `screen` and `keeping` touch the world.
"""
