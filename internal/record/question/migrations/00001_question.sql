-- +goose Up
-- The meaning of every column is written in docs/formats/question.md.
CREATE TABLE question (
	id INTEGER PRIMARY KEY,
	ward TEXT NOT NULL,
	asker TEXT NOT NULL,
	key_id BLOB NOT NULL,
	head BLOB NOT NULL,
	contact BLOB,
	link BLOB UNIQUE,
	link_ends BIGINT NOT NULL,
	turn BIGINT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	seen BIGINT NOT NULL
);
CREATE INDEX question_in_ward ON question (ward, turn, changed);
CREATE INDEX question_of_asker ON question (asker, changed) WHERE asker <> '';
CREATE TABLE question_message (
	question BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	answer BIGINT NOT NULL,
	actor TEXT NOT NULL,
	body BLOB NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (question, seq)
);
-- +goose Down
DROP TABLE question_message;
DROP TABLE question;
