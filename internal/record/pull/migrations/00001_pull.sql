-- +goose Up
-- The meaning of every column is written in docs/formats/pull.md.
CREATE TABLE pull (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	peer TEXT NOT NULL,
	way TEXT NOT NULL,
	kind TEXT NOT NULL,
	sealed BLOB NOT NULL,
	rate BIGINT NOT NULL,
	hours TEXT NOT NULL,
	state TEXT NOT NULL,
	actor TEXT NOT NULL,
	created BIGINT NOT NULL,
	ran BIGINT NOT NULL,
	seen TEXT NOT NULL,
	why TEXT NOT NULL,
	requests BIGINT NOT NULL
);
CREATE INDEX pull_of_collection ON pull (collection, id);
CREATE TABLE pull_item (
	id INTEGER PRIMARY KEY,
	pull BIGINT NOT NULL,
	kind TEXT NOT NULL,
	ordinal BIGINT NOT NULL,
	mark BLOB NOT NULL,
	sealed BLOB NOT NULL,
	state TEXT NOT NULL,
	expected BIGINT NOT NULL,
	came BIGINT NOT NULL,
	failed BIGINT NOT NULL,
	tries BIGINT NOT NULL,
	why TEXT NOT NULL,
	due BIGINT NOT NULL,
	changed BIGINT NOT NULL
);
CREATE UNIQUE INDEX pull_item_mark ON pull_item (pull, kind, mark);
CREATE INDEX pull_item_next ON pull_item (pull, kind, state, due, id);
CREATE INDEX pull_item_ordinal ON pull_item (pull, ordinal, id);
-- +goose Down
DROP TABLE pull_item;
DROP TABLE pull;
