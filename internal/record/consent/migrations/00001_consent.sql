-- +goose Up
-- The meaning of every column is written in docs/formats/consent.md.
CREATE TABLE consent_form (
	collection TEXT NOT NULL,
	name TEXT NOT NULL,
	version TEXT NOT NULL,
	title TEXT NOT NULL,
	policy TEXT NOT NULL,
	clauses TEXT NOT NULL,
	valid_from BIGINT NOT NULL,
	valid_until BIGINT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (collection, name, version)
);
CREATE TABLE consent_event (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	link BLOB NOT NULL,
	said BIGINT NOT NULL,
	form TEXT NOT NULL,
	version TEXT NOT NULL,
	answers TEXT NOT NULL,
	grants TEXT NOT NULL,
	denies TEXT NOT NULL,
	withdrawal TEXT NOT NULL,
	expires BIGINT NOT NULL,
	way TEXT NOT NULL,
	actor TEXT NOT NULL,
	digest BLOB NOT NULL,
	recorded BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	UNIQUE (collection, link, seq),
	UNIQUE (collection, digest)
);
CREATE TABLE consent_basis (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	kind TEXT NOT NULL,
	reference TEXT NOT NULL,
	begins BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	came_before BIGINT NOT NULL,
	opt_out TEXT NOT NULL,
	attested BIGINT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL,
	ended BIGINT NOT NULL,
	ended_by TEXT NOT NULL
);
CREATE INDEX consent_basis_of ON consent_basis (collection, id);
CREATE TABLE consent_check (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	checked BIGINT NOT NULL,
	people BIGINT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX consent_check_of ON consent_check (collection, checked);
CREATE TABLE consent_opt_out (
	collection TEXT NOT NULL,
	link BLOB NOT NULL,
	PRIMARY KEY (collection, link)
) WITHOUT ROWID;
CREATE TABLE withdrawal (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	subject BIGINT NOT NULL,
	scope TEXT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL,
	erase_after BIGINT NOT NULL,
	erased BIGINT NOT NULL,
	studies BIGINT NOT NULL,
	instances BIGINT NOT NULL
);
CREATE INDEX withdrawal_in ON withdrawal (collection, id);
CREATE INDEX withdrawal_of ON withdrawal (subject);
-- +goose Down
DROP TABLE withdrawal;
DROP TABLE consent_opt_out;
DROP TABLE consent_check;
DROP TABLE consent_basis;
DROP TABLE consent_event;
DROP TABLE consent_form;
