-- +goose Up
-- The meaning of every table and column is written in docs/formats/counts.md.
CREATE TABLE directory_text (
	id INTEGER PRIMARY KEY,
	entry TEXT NOT NULL UNIQUE,
	change BIGINT NOT NULL
);
CREATE TABLE directory_text_state (
	one BIGINT NOT NULL PRIMARY KEY,
	change BIGINT NOT NULL,
	version BIGINT NOT NULL
);
INSERT INTO directory_text_state (one, change, version) VALUES (1, 0, 0);
CREATE TABLE directory_saved (
	id INTEGER PRIMARY KEY,
	owner TEXT NOT NULL,
	name TEXT NOT NULL,
	query TEXT NOT NULL,
	alert BIGINT NOT NULL,
	digest BLOB NOT NULL,
	found TEXT NOT NULL,
	fresh TEXT NOT NULL,
	created BIGINT NOT NULL,
	checked BIGINT NOT NULL
);
CREATE INDEX directory_saved_of_owner ON directory_saved (owner, id);
CREATE TABLE directory_shortlist (
	owner TEXT NOT NULL,
	entry TEXT NOT NULL,
	added BIGINT NOT NULL,
	PRIMARY KEY (owner, entry)
) WITHOUT ROWID;
-- +goose Down
DROP TABLE directory_shortlist;
DROP TABLE directory_saved;
DROP TABLE directory_text_state;
DROP TABLE directory_text;
