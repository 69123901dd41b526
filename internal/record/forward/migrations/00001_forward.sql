-- +goose Up
-- The meaning of every table and column is written in docs/formats/forward.md.
CREATE TABLE forward_line (
	name TEXT NOT NULL PRIMARY KEY,
	collection TEXT NOT NULL,
	target TEXT NOT NULL,
	secret TEXT NOT NULL,
	began BIGINT NOT NULL,
	refreshed BIGINT NOT NULL,
	succeeded BIGINT NOT NULL
);

CREATE TABLE forward_study (
	line TEXT NOT NULL,
	study BIGINT NOT NULL,
	collection TEXT NOT NULL,
	uid TEXT NOT NULL,
	subject BIGINT NOT NULL,
	asked BIGINT NOT NULL,
	since BIGINT NOT NULL,
	PRIMARY KEY (line, study)
);
CREATE INDEX forward_study_since ON forward_study (line, since);

CREATE TABLE forward_sent (
	line TEXT NOT NULL,
	instance BIGINT NOT NULL,
	study BIGINT NOT NULL,
	subject BIGINT NOT NULL,
	pack BLOB NOT NULL,
	pack_offset BIGINT NOT NULL,
	uid TEXT NOT NULL,
	outcome TEXT NOT NULL,
	reasons TEXT NOT NULL,
	sent BIGINT NOT NULL,
	recall BIGINT NOT NULL,
	PRIMARY KEY (line, instance)
);
CREATE INDEX forward_sent_study ON forward_sent (line, study);
CREATE INDEX forward_sent_subject ON forward_sent (subject);

CREATE TABLE forward_piece (
	line TEXT NOT NULL,
	instance BIGINT NOT NULL,
	pack BLOB NOT NULL,
	pack_offset BIGINT NOT NULL,
	place TEXT NOT NULL,
	PRIMARY KEY (line, instance)
);
-- +goose Down
DROP TABLE forward_piece;
DROP TABLE forward_sent;
DROP TABLE forward_study;
DROP TABLE forward_line;
