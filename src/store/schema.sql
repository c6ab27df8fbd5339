-- Step 1 of the schema. A released step is never changed: what comes later is a further step (sqlite/database.rs).

-- What this database knows of itself. 'unclean_fast' stands here while a process writes with --durability fast.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The head of a room's log is its newest event's seq, and stands nowhere else: an append writes no row here.
CREATE TABLE rooms (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    -- The newest event's place when the room was made: where an empty room stands among those with events.
    made_after INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- A rowid table: new events of all rooms share the last pages, which makes a commit of many rooms small.
CREATE TABLE events (
    -- The order of commits across rooms; named, so that VACUUM keeps it.
    place INTEGER PRIMARY KEY,
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    author BLOB NOT NULL,
    author_name TEXT NOT NULL,
    txn_id TEXT,
    target INTEGER,
    -- NULL once redacted, and the rendering with it.
    content TEXT,
    rendering INTEGER,
    UNIQUE (room, seq)
) STRICT;

-- A retry finds the first one's seq, for as long as retention keeps the event.
CREATE UNIQUE INDEX events_by_txn ON events (room, author, txn_id) WHERE txn_id IS NOT NULL;

-- A page of messages costs the same however many other events lie between them.
CREATE INDEX messages ON events (room, seq) WHERE kind = 'message';

CREATE TABLE mentions (
    user BLOB NOT NULL,
    room INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (user, room, seq)
) STRICT, WITHOUT ROWID;

-- For redactions.
CREATE INDEX mentions_by_event ON mentions (room, seq);

CREATE TABLE members (
    user BLOB NOT NULL,
    room INTEGER NOT NULL,
    read INTEGER NOT NULL,
    PRIMARY KEY (user, room)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    email TEXT,
    guest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Apart from users, since most guests of the past still have a row there and hold no name any more.
CREATE TABLE names (
    folded TEXT PRIMARY KEY,
    user BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX names_by_user ON names (user);

CREATE TABLE sessions (
    token BLOB PRIMARY KEY,
    user BLOB NOT NULL,
    seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (user, seen);
CREATE INDEX sessions_by_seen ON sessions (seen);
