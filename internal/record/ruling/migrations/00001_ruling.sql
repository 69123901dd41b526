-- +goose Up
-- The meaning of every column is written in docs/formats/ruling.md.
CREATE TABLE ruling (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	number BIGINT NOT NULL,
	subject TEXT NOT NULL,
	likeness TEXT NOT NULL,
	about TEXT NOT NULL,
	action TEXT NOT NULL,
	boxes TEXT NOT NULL,
	sealed BLOB,
	note TEXT NOT NULL,
	actor TEXT NOT NULL,
	made BIGINT NOT NULL,
	ended_by TEXT NOT NULL,
	ended BIGINT NOT NULL,
	end_note TEXT NOT NULL,
	UNIQUE (collection, number)
);
-- +goose Down
DROP TABLE ruling;
