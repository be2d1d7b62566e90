-- Public records by when they became public as they are: the network's timeline and each agent's.
CREATE INDEX records_public ON records (updated_at, id) WHERE public = 1;
CREATE INDEX records_public_of ON records (did, updated_at, id) WHERE public = 1;
