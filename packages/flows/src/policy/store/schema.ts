/** Each script runs once on a database; one that shipped is never edited. */
export const migrations: readonly string[] = [
  `
  -- A document as it was applied: what changes makes another row.
  CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    audit INTEGER NOT NULL,
    applied_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX documents_by_name ON documents (name);

  -- All documents that are to hold together. 'prepared' has not reached the kernel; 'unconfirmed' has, for a time.
  CREATE TABLE generations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL CHECK (state IN ('prepared', 'unconfirmed', 'confirmed', 'reverted')),
    applied_ms INTEGER NOT NULL,
    settled_ms INTEGER,
    management INTEGER NOT NULL,
    pin INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE holdings (
    generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
    document INTEGER NOT NULL REFERENCES documents,
    PRIMARY KEY (generation, document)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX holdings_by_document ON holdings (document);

  -- What the numbers in verdicts stand for, also in old ones: an id is never given out twice.
  CREATE TABLE rules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    policy TEXT NOT NULL,
    path TEXT NOT NULL,
    content TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (policy, path, content)
  ) STRICT;
  INSERT INTO rules VALUES (1, '', 'management', '', 0), (2, '', 'session', '', 0);
  `,
];

/** Verdicts of what stays reachable. */
export const MANAGEMENT_ID = 1;
/** Verdicts of the sessions that apply policies. */
export const SESSION_ID = 2;
