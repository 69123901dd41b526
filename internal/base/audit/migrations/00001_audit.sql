-- +goose Up
-- The meaning of every table and column is written in docs/formats/audit.md.
CREATE TABLE audit (
	seq BIGINT NOT NULL PRIMARY KEY,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	collection TEXT NOT NULL,
	outcome TEXT NOT NULL,
	sealed BLOB,
	salt BLOB NOT NULL
);
CREATE INDEX audit_of_collection ON audit (collection, seq);

CREATE TABLE audit_hash (
	idx BIGINT NOT NULL PRIMARY KEY,
	hash BLOB NOT NULL
);

CREATE TABLE audit_head (
	one BIGINT NOT NULL PRIMARY KEY,
	size BIGINT NOT NULL
);
INSERT INTO audit_head (one, size) VALUES (1, 0);

CREATE TABLE audit_once (
	what BLOB NOT NULL,
	hour BIGINT NOT NULL,
	PRIMARY KEY (what, hour)
);
CREATE INDEX audit_once_hour ON audit_once (hour);

CREATE TABLE audit_checkpoint (
	size BIGINT NOT NULL PRIMARY KEY,
	note TEXT NOT NULL,
	at BIGINT NOT NULL
);
-- +goose Down
DROP TABLE audit_checkpoint;
DROP TABLE audit_once;
DROP TABLE audit_head;
DROP TABLE audit_hash;
DROP TABLE audit;
