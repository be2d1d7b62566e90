-- How many dead letters each agent has, as its object last said: the list itself stays there.
ALTER TABLE agents ADD COLUMN dead_letters INTEGER NOT NULL DEFAULT 0;
