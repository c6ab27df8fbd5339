-- Step 2 of the schema: accounts, roles, rooms that are private, and what keeps order.

ALTER TABLE rooms ADD COLUMN kind TEXT NOT NULL DEFAULT 'public';
ALTER TABLE rooms ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE rooms ADD COLUMN announcement INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN slow_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN guests INTEGER NOT NULL DEFAULT 0;
-- A direct room's people, sorted: the same people have one room.
ALTER TABLE rooms ADD COLUMN people BLOB;
CREATE UNIQUE INDEX rooms_by_people ON rooms (people) WHERE people IS NOT NULL;

ALTER TABLE members ADD COLUMN role TEXT NOT NULL DEFAULT 'member';
CREATE INDEX members_by_room ON members (room, user);

ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'guest';
UPDATE users SET role = 'member' WHERE NOT guest;
ALTER TABLE users DROP COLUMN guest;
ALTER TABLE users ADD COLUMN skeleton TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN muted_until INTEGER;
ALTER TABLE users ADD COLUMN banned_until INTEGER;
ALTER TABLE users ADD COLUMN picture INTEGER NOT NULL DEFAULT 0;
CREATE INDEX users_by_email ON users (lower(email)) WHERE email IS NOT NULL AND role <> 'guest';

-- What an account's name looks like; NULL for guests.
ALTER TABLE names ADD COLUMN skeleton TEXT;
-- A name that its user has given up stays theirs until then.
ALTER TABLE names ADD COLUMN reserved_until INTEGER;
CREATE INDEX names_by_skeleton ON names (skeleton) WHERE skeleton IS NOT NULL;

CREATE TABLE secrets (
    user BLOB PRIMARY KEY,
    password TEXT,
    totp BLOB,
    -- The last time step whose code was taken.
    totp_step INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    user BLOB NOT NULL,
    code BLOB NOT NULL,
    PRIMARY KEY (user, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user BLOB NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX identities_by_user ON identities (user);

ALTER TABLE sessions ADD COLUMN id BLOB NOT NULL DEFAULT x'';
UPDATE sessions SET id = randomblob(16);
ALTER TABLE sessions ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET at = seen;
-- Of a program's token, the words of what it may do; NULL for people's sessions.
ALTER TABLE sessions ADD COLUMN scopes TEXT;

CREATE TABLE links (
    token BLOB PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    role TEXT,
    room TEXT,
    user BLOB,
    mailed_to TEXT,
    by BLOB,
    by_name TEXT,
    made INTEGER NOT NULL,
    expires INTEGER,
    used INTEGER NOT NULL,
    max_uses INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE pictures (
    user BLOB NOT NULL,
    source INTEGER NOT NULL,
    kind TEXT NOT NULL,
    bytes BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (user, source)
) STRICT;

CREATE TABLE settings (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    json TEXT NOT NULL
) STRICT;

CREATE TABLE bans (
    address TEXT PRIMARY KEY,
    user BLOB NOT NULL,
    user_name TEXT NOT NULL,
    until INTEGER,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    text TEXT NOT NULL,
    author BLOB NOT NULL,
    author_name TEXT NOT NULL,
    by BLOB NOT NULL,
    by_name TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (room, seq, by)
) STRICT;

CREATE TABLE ignored (
    user BLOB NOT NULL,
    other BLOB NOT NULL,
    PRIMARY KEY (user, other)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    by BLOB NOT NULL,
    by_name TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
