-- Counts the changes of what an agent's object must know of its row before a remembered copy is good again.
ALTER TABLE agents ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
