-- +goose Up
CREATE TABLE directory_entry (
	id TEXT NOT NULL PRIMARY KEY,
	collection TEXT UNIQUE,
	holding TEXT NOT NULL,
	state BIGINT NOT NULL,
	latest BIGINT NOT NULL,
	published BIGINT NOT NULL,
	state_by TEXT NOT NULL,
	state_at BIGINT NOT NULL,
	first_published BIGINT NOT NULL,
	change BIGINT NOT NULL
);
CREATE INDEX directory_entry_change ON directory_entry (change);
CREATE TABLE directory_revision (
	entry TEXT NOT NULL,
	revision BIGINT NOT NULL,
	document TEXT NOT NULL,
	saved_by TEXT NOT NULL,
	saved_at BIGINT NOT NULL,
	note TEXT NOT NULL,
	PRIMARY KEY (entry, revision)
);
CREATE TABLE directory_change (
	one BIGINT NOT NULL PRIMARY KEY,
	change BIGINT NOT NULL
);
INSERT INTO directory_change (one, change) VALUES (1, 0);
-- +goose Down
DROP TABLE directory_change;
DROP TABLE directory_revision;
DROP TABLE directory_entry;
