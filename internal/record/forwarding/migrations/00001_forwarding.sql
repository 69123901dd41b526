-- +goose Up
-- The meaning of every table and column is written in docs/formats/forwarding.md.
CREATE TABLE copy_rule (
	peer TEXT NOT NULL,
	collection TEXT NOT NULL,
	stage BIGINT NOT NULL,
	created BIGINT NOT NULL,
	tried BIGINT NOT NULL,
	failures BIGINT NOT NULL,
	reason TEXT NOT NULL,
	sent BIGINT NOT NULL,
	PRIMARY KEY (peer, collection)
);
CREATE INDEX copy_rule_of_collection ON copy_rule (collection);
CREATE TABLE copy_study (
	peer TEXT NOT NULL,
	collection TEXT NOT NULL,
	study TEXT NOT NULL,
	asked BIGINT NOT NULL,
	since BIGINT NOT NULL,
	failed BIGINT NOT NULL,
	PRIMARY KEY (peer, collection, study)
);
CREATE TABLE copy_instance (
	peer TEXT NOT NULL,
	collection TEXT NOT NULL,
	instance BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (peer, collection, instance)
);
-- +goose Down
DROP TABLE copy_instance;
DROP TABLE copy_study;
DROP TABLE copy_rule;
