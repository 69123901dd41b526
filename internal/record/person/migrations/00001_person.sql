-- +goose Up
-- The meaning of every column is written in docs/formats/person.md.
CREATE TABLE person (
	account TEXT NOT NULL PRIMARY KEY,
	orcid TEXT NOT NULL,
	orcid_by BIGINT NOT NULL,
	organisation TEXT NOT NULL,
	ror TEXT NOT NULL,
	kind TEXT NOT NULL,
	country TEXT NOT NULL,
	confirmed BIGINT NOT NULL,
	confirmed_by TEXT NOT NULL,
	vouched BIGINT NOT NULL,
	vouched_at BIGINT NOT NULL,
	changed BIGINT NOT NULL
);
CREATE TABLE person_training (
	account TEXT NOT NULL,
	name TEXT NOT NULL,
	completed BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	evidence BIGINT NOT NULL,
	seen_by TEXT NOT NULL,
	PRIMARY KEY (account, name, completed)
);
CREATE TABLE person_sitting (
	account TEXT NOT NULL PRIMARY KEY,
	asked TEXT NOT NULL,
	begun BIGINT NOT NULL,
	failed BIGINT NOT NULL
);
-- +goose Down
DROP TABLE person_sitting;
DROP TABLE person_training;
DROP TABLE person;
