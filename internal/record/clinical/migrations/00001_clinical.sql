-- +goose Up
-- The meaning of every table and column is written in docs/formats/clinical.md.
CREATE TABLE clinical (
	subject BIGINT NOT NULL,
	version BIGINT NOT NULL,
	collection TEXT NOT NULL,
	latest BIGINT NOT NULL,
	facts TEXT NOT NULL,
	import BIGINT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (subject, version)
) WITHOUT ROWID;
CREATE INDEX clinical_of_collection ON clinical (collection, subject) WHERE latest = 1;

CREATE TABLE clinical_import (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	actor TEXT NOT NULL,
	row_count BIGINT NOT NULL,
	refused BIGINT NOT NULL,
	subjects BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX clinical_import_of_collection ON clinical_import (collection, id);
-- +goose Down
DROP TABLE clinical_import;
DROP TABLE clinical;
