-- +goose Up
-- kind and key name the work; there is one row for each. due and lease are microseconds; a row is leased while lease is in the future. asked counts how often
-- it was asked for: work that is asked for again while it runs runs again.
CREATE TABLE job (
	kind TEXT NOT NULL,
	key TEXT NOT NULL,
	payload BLOB,
	due BIGINT NOT NULL,
	lease BIGINT NOT NULL,
	owner TEXT NOT NULL,
	asked BIGINT NOT NULL,
	attempts BIGINT NOT NULL,
	failed BIGINT NOT NULL,
	error TEXT NOT NULL,
	PRIMARY KEY (kind, key)
);
CREATE INDEX job_due ON job (due) WHERE failed = 0;
-- +goose Down
DROP TABLE job;
