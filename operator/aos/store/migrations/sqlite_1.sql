-- sequence, hash, time: of the newest row that retention deleted; the newest of all is looked up in audit.
CREATE TABLE chains (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL,
  time TEXT NOT NULL
);

-- id: the chain's id times 2^40, plus the sequence: rows of a chain lie together, and each is added at the end.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  mark INTEGER NOT NULL,
  namespace TEXT NOT NULL,
  agent TEXT NOT NULL,
  task TEXT NOT NULL,
  task_uid TEXT NOT NULL,
  name TEXT NOT NULL,
  record TEXT NOT NULL,
  previous BLOB NOT NULL,
  hash BLOB NOT NULL,
  event BLOB NOT NULL
);

CREATE INDEX audit_at ON audit (at);

CREATE INDEX audit_mark ON audit (mark) WHERE mark <> 0;

-- In which blocks of 4096 ids a Task or record has rows. An index on each would be written in another place for each row,
-- which costs a third of what the whole call does.
CREATE TABLE blocks (
  key TEXT NOT NULL,
  block INTEGER NOT NULL,
  PRIMARY KEY (key, block)
) WITHOUT ROWID;

CREATE INDEX blocks_block ON blocks (block);

-- Counters, leases and writes: key has the kind before it, value is JSON, expires is in milliseconds.
CREATE TABLE cells (
  key TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  namespace TEXT NOT NULL,
  expires INTEGER,
  value TEXT NOT NULL,
  result BLOB
) WITHOUT ROWID;

CREATE INDEX cells_owner ON cells (owner) WHERE owner <> '';

CREATE INDEX cells_expires ON cells (expires) WHERE expires IS NOT NULL;

-- Calls that are not finished.
CREATE TABLE calls (
  call TEXT PRIMARY KEY,
  expires INTEGER NOT NULL,
  closed INTEGER NOT NULL,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE documents (
  digest TEXT PRIMARY KEY,
  content BLOB NOT NULL
);

CREATE TABLE holds (
  name TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at REAL NOT NULL
);

CREATE TABLE probe (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL
);
