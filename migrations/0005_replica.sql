-- The encrypted replica of agents' records. The truth is in the agents' objects; nothing is served from here.

CREATE TABLE records (
  -- did/collection/rkey
  id TEXT PRIMARY KEY,
  did TEXT NOT NULL,
  collection TEXT NOT NULL,
  rkey TEXT NOT NULL,
  version INTEGER NOT NULL,
  cid TEXT NOT NULL,
  public INTEGER NOT NULL DEFAULT 0,
  -- The block that the CID names: an envelope, or the record itself where it is public.
  ciphertext BLOB NOT NULL,
  -- The row that wraps the envelope's key for the owner; NULL where the record is public.
  encrypted_dek BLOB,
  -- The owner's revision that this is.
  revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (did, collection, rkey)
);

-- With whom an owner shares its records.
CREATE TABLE shared_records (
  record_id TEXT NOT NULL REFERENCES records (id) ON DELETE CASCADE,
  recipient_did TEXT NOT NULL,
  -- The row that wraps the envelope's key for the recipient; NULL until it was sent.
  encrypted_dek BLOB,
  shared_at INTEGER NOT NULL,
  PRIMARY KEY (record_id, recipient_did)
);
CREATE INDEX shared_records_recipient ON shared_records (recipient_did);

-- How far the replica of each agent is: everything up to this revision of this life of its records.
CREATE TABLE replica_cursors (
  did TEXT PRIMARY KEY,
  life TEXT NOT NULL,
  revision INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
);
