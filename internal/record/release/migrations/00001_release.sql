-- +goose Up
-- The meaning of every column is written in docs/formats/release.md.
CREATE TABLE dataset (
	id TEXT PRIMARY KEY,
	collection TEXT NOT NULL,
	about TEXT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX dataset_of ON dataset (collection, id);
CREATE TABLE dataset_split (
	dataset TEXT NOT NULL,
	subject BIGINT NOT NULL,
	split BIGINT NOT NULL,
	PRIMARY KEY (dataset, subject)
) WITHOUT ROWID;
CREATE TABLE dataset_release (
	id INTEGER PRIMARY KEY,
	dataset TEXT NOT NULL,
	version TEXT NOT NULL,
	collection TEXT NOT NULL,
	state BIGINT NOT NULL,
	root TEXT NOT NULL,
	entries BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	facts TEXT NOT NULL,
	doi TEXT NOT NULL,
	registered BIGINT NOT NULL,
	previous TEXT NOT NULL,
	next TEXT NOT NULL,
	tombstone TEXT NOT NULL,
	actor TEXT NOT NULL,
	cutoff BIGINT NOT NULL,
	frozen BIGINT NOT NULL,
	published BIGINT NOT NULL,
	embargo BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	UNIQUE (dataset, version)
);
CREATE TABLE release_entry (
	release_id BIGINT NOT NULL,
	n BIGINT NOT NULL,
	drs TEXT NOT NULL,
	subject BIGINT NOT NULL,
	instance BIGINT NOT NULL,
	pack BLOB NOT NULL,
	pack_offset BIGINT NOT NULL,
	leaf BLOB NOT NULL,
	size BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (release_id, n)
) WITHOUT ROWID;
CREATE INDEX release_entry_by_drs ON release_entry (drs);
CREATE INDEX release_entry_of_subject ON release_entry (subject, release_id);
CREATE TABLE receipt (
	entitlement BIGINT NOT NULL,
	release_id BIGINT NOT NULL,
	subject BIGINT NOT NULL,
	account TEXT NOT NULL,
	objects BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	first BIGINT NOT NULL,
	latest BIGINT NOT NULL,
	PRIMARY KEY (entitlement, release_id, subject)
) WITHOUT ROWID;
CREATE INDEX receipt_of_subject ON receipt (subject);
-- +goose Down
DROP TABLE receipt;
DROP TABLE release_entry;
DROP TABLE dataset_release;
DROP TABLE dataset_split;
DROP TABLE dataset;
