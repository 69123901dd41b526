-- +goose Up
-- The meaning of every column is written in docs/formats/report.md.
CREATE TABLE proof_work (
	deposit BIGINT NOT NULL,
	way BIGINT NOT NULL,
	kind TEXT NOT NULL,
	judged TEXT NOT NULL,
	reader TEXT NOT NULL,
	collection TEXT NOT NULL,
	objects BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	cleaned BIGINT NOT NULL,
	held BIGINT NOT NULL,
	searched BIGINT NOT NULL,
	readable BIGINT NOT NULL,
	frames BIGINT NOT NULL,
	painted BIGINT NOT NULL,
	boxes BIGINT NOT NULL,
	area BIGINT NOT NULL,
	stripped BIGINT NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	reasons TEXT NOT NULL,
	done TEXT NOT NULL,
	PRIMARY KEY (deposit, way, kind, judged, reader)
);
CREATE INDEX proof_work_of_collection ON proof_work (collection);
CREATE TABLE proof_subject (
	deposit BIGINT NOT NULL,
	subject BIGINT NOT NULL,
	PRIMARY KEY (deposit, subject)
);
-- +goose Down
DROP TABLE proof_subject;
DROP TABLE proof_work;
