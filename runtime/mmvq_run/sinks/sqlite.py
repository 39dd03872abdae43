"""A database of events, for whoever would rather ask than read.

    sqlite3 events.db "SELECT t, event ->> 'label' FROM events WHERE type = 'activity' ORDER BY session, t"

An id is kept once, however often it is delivered. Each delivery is a transaction, on disk before it counts as done; a
write-ahead log lets others read meanwhile, and makes good what a killed run left.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_run.sinks.ids import Numbered

COLUMNS: Final = ("id", "session", "device", "recording", "type", "t", "event")
TABLE: Final = """
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY,    -- as in the event
    session TEXT NOT NULL,  -- the id's first part: one stream from its session event to its end
    device TEXT,
    recording INTEGER,
    type TEXT NOT NULL,
    t REAL NOT NULL,        -- seconds of stream time
    event TEXT NOT NULL     -- JSON
)"""
INDEX: Final = "CREATE INDEX IF NOT EXISTS events_by_type ON events (type, session, t)"
INSERT: Final = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"


class SqliteTable:
    """A store of events in the table `events` of the database `path`."""

    def __init__(self, path: Path) -> None:
        """BadInput if there is no such table in `path` and none can be made."""
        self.name = str(path)
        self._path = path
        self._db: sqlite3.Connection | None = None
        try:
            self._reopen()
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:  # a full disk is waited for, from the start on
                raise BadInput(f"{path}: {error}; give --sink sqlite: a database that can be written") from None

    def deliver(self, events: Sequence[Numbered]) -> int:
        """Insert all of them, or none."""
        rows = [(e.id, e.session, e.device, e.recording, e.type, e.t, e.line.decode()) for e in events]
        try:
            db = self._db or self._reopen()
            with db:  # commits
                db.executemany(INSERT, rows)
        except sqlite3.Error as error:
            self.close()
            raise OSError(str(error)) from None
        return len(rows)

    def idle(self) -> None:
        """Nothing to look after."""

    def close(self) -> None:
        """The end; what the log holds goes into the database."""
        if self._db is not None:
            self._db.close()
        self._db = None

    def _reopen(self) -> sqlite3.Connection:
        # Opened by the thread that starts the run, used by that of the sink, never by both.
        db = sqlite3.connect(self._path.absolute(), check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut, too; it costs a sync, 4 ms here
            with db:
                db.execute(TABLE)
                db.execute(INDEX)
            found = tuple(name for (name,) in db.execute("SELECT name FROM pragma_table_info('events')"))
            if found != COLUMNS:
                raise BadInput(f"{self._path}: its table events is not a sink's; give --sink sqlite: another file")
        except BaseException:
            db.close()
            raise
        self._db = db
        return db
