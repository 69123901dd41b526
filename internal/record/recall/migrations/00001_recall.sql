-- +goose Up
-- The meaning of every column is written in docs/formats/recall.md.
CREATE TABLE recall_cause (
	subject BIGINT NOT NULL,
	release_id BIGINT NOT NULL,
	collection TEXT NOT NULL,
	code TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (subject, release_id)
);
CREATE INDEX recall_cause_at ON recall_cause (at);
CREATE TABLE recall_item (
	entitlement BIGINT NOT NULL,
	release_id BIGINT NOT NULL,
	subject BIGINT NOT NULL,
	account TEXT NOT NULL,
	collection TEXT NOT NULL,
	code TEXT NOT NULL,
	since BIGINT NOT NULL,
	batch BIGINT NOT NULL,
	PRIMARY KEY (entitlement, release_id, subject)
);
CREATE INDEX recall_item_in ON recall_item (batch);
CREATE INDEX recall_item_of ON recall_item (subject);
CREATE TABLE recall_batch (
	id INTEGER PRIMARY KEY,
	request BIGINT NOT NULL,
	account TEXT NOT NULL,
	collection TEXT NOT NULL,
	code TEXT NOT NULL,
	told BIGINT NOT NULL,
	due BIGINT NOT NULL,
	acknowledged BIGINT NOT NULL,
	closed BIGINT NOT NULL,
	outcome TEXT NOT NULL,
	suspended BIGINT NOT NULL,
	resumed BIGINT NOT NULL,
	mail TEXT NOT NULL,
	mail_why TEXT NOT NULL
);
CREATE INDEX recall_batch_of ON recall_batch (account, told);
CREATE INDEX recall_batch_in ON recall_batch (collection, told);
CREATE INDEX recall_batch_by ON recall_batch (request, closed);
CREATE INDEX recall_batch_open ON recall_batch (closed, due);
CREATE TABLE recall_event (
	batch BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	kind BIGINT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	body BLOB,
	PRIMARY KEY (batch, seq)
);
-- +goose Down
DROP TABLE recall_event;
DROP TABLE recall_batch;
DROP TABLE recall_item;
DROP TABLE recall_cause;
