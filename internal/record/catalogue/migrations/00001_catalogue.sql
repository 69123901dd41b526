-- +goose Up
-- The meaning of every table and column is written in docs/formats/catalogue.md.
CREATE TABLE study (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	uid TEXT NOT NULL,
	subject BIGINT NOT NULL,
	described BIGINT NOT NULL,
	patient_name TEXT NOT NULL,
	patient_name_key TEXT NOT NULL,
	patient_name_other TEXT NOT NULL,
	patient_id TEXT NOT NULL,
	birth_date TEXT NOT NULL,
	sex TEXT NOT NULL,
	study_date TEXT NOT NULL,
	study_time TEXT NOT NULL,
	study_moment BIGINT NOT NULL,
	accession TEXT NOT NULL,
	study_id TEXT NOT NULL,
	description TEXT NOT NULL,
	referrer TEXT NOT NULL,
	referrer_key TEXT NOT NULL,
	referrer_other TEXT NOT NULL,
	timezone TEXT NOT NULL,
	attributes TEXT NOT NULL,
	received BIGINT NOT NULL,
	admitted BIGINT NOT NULL,
	held BIGINT NOT NULL,
	conflict BIGINT NOT NULL,
	released BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	touched BIGINT NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (uid, collection)
);
CREATE INDEX study_of_collection ON study (collection, id);
CREATE INDEX study_of_patient ON study (patient_id);
CREATE INDEX study_of_name ON study (patient_name_key);
CREATE INDEX study_of_date ON study (study_date, id);
CREATE INDEX study_of_accession ON study (accession);
CREATE INDEX study_due ON study (touched) WHERE received > 0;

CREATE TABLE series (
	id INTEGER PRIMARY KEY,
	study BIGINT NOT NULL,
	uid TEXT NOT NULL,
	described BIGINT NOT NULL,
	modality TEXT NOT NULL,
	number BIGINT NOT NULL,
	description TEXT NOT NULL,
	body_part TEXT NOT NULL,
	step_date TEXT NOT NULL,
	step_time TEXT NOT NULL,
	step_moment BIGINT NOT NULL,
	attributes TEXT NOT NULL,
	received BIGINT NOT NULL,
	admitted BIGINT NOT NULL,
	held BIGINT NOT NULL,
	conflict BIGINT NOT NULL,
	released BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (uid, study)
);
CREATE INDEX series_of_study ON series (study, number, id);
CREATE INDEX series_of_modality ON series (modality, id);

CREATE TABLE series_request (
	series BIGINT NOT NULL,
	item BIGINT NOT NULL,
	step TEXT NOT NULL,
	requested TEXT NOT NULL,
	PRIMARY KEY (series, item)
) WITHOUT ROWID;
CREATE INDEX series_request_step ON series_request (step);
CREATE INDEX series_request_requested ON series_request (requested);

CREATE TABLE instance (
	id INTEGER PRIMARY KEY,
	series BIGINT NOT NULL,
	collection TEXT NOT NULL,
	uid TEXT NOT NULL,
	variant BIGINT NOT NULL,
	state BIGINT NOT NULL,
	subject BIGINT NOT NULL,
	sop_class TEXT NOT NULL,
	transfer_syntax TEXT NOT NULL,
	number BIGINT NOT NULL,
	row_count BIGINT NOT NULL,
	column_count BIGINT NOT NULL,
	bits BIGINT NOT NULL,
	frames BIGINT NOT NULL,
	pack BLOB NOT NULL,
	pack_offset BIGINT NOT NULL,
	head_size BIGINT NOT NULL,
	bulk_size BIGINT NOT NULL,
	digest BLOB NOT NULL,
	reasons TEXT NOT NULL,
	deposit BIGINT NOT NULL,
	ordinal BIGINT NOT NULL,
	lexicon BIGINT NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (uid, collection, variant)
);
CREATE INDEX instance_of_series ON instance (series, number, id);
CREATE INDEX instance_of_subject ON instance (subject);
CREATE INDEX instance_waiting ON instance (collection, id) WHERE state IN (3, 4);

CREATE TABLE study_part (
	study BIGINT NOT NULL,
	what BIGINT NOT NULL,
	value TEXT NOT NULL,
	study_date TEXT NOT NULL,
	received BIGINT NOT NULL,
	admitted BIGINT NOT NULL,
	released BIGINT NOT NULL,
	PRIMARY KEY (study, what, value)
) WITHOUT ROWID;
CREATE INDEX study_part_value ON study_part (what, value, study_date, study);

CREATE TABLE study_open (
	deposit BIGINT NOT NULL,
	study BIGINT NOT NULL,
	PRIMARY KEY (deposit, study)
) WITHOUT ROWID;
CREATE INDEX study_open_study ON study_open (study);

CREATE TABLE deposit (
	id INTEGER PRIMARY KEY,
	collection TEXT NOT NULL,
	door TEXT NOT NULL,
	actor TEXT NOT NULL,
	started BIGINT NOT NULL,
	ended BIGINT NOT NULL,
	received BIGINT NOT NULL,
	admitted BIGINT NOT NULL,
	held BIGINT NOT NULL,
	conflict BIGINT NOT NULL,
	released BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	refused BIGINT NOT NULL,
	duplicate BIGINT NOT NULL
);
CREATE INDEX deposit_of_collection ON deposit (collection, id);
CREATE INDEX deposit_running ON deposit (started) WHERE ended = 0;

CREATE TABLE refusal (
	id INTEGER PRIMARY KEY,
	deposit BIGINT NOT NULL,
	ordinal BIGINT NOT NULL,
	code TEXT NOT NULL,
	place TEXT NOT NULL,
	reason TEXT NOT NULL,
	refused BIGINT NOT NULL
);
CREATE INDEX refusal_of_deposit ON refusal (deposit, ordinal, id);

CREATE TABLE intake (
	collection TEXT NOT NULL PRIMARY KEY,
	received BIGINT NOT NULL,
	admitted BIGINT NOT NULL,
	held BIGINT NOT NULL,
	conflict BIGINT NOT NULL,
	released BIGINT NOT NULL,
	withdrawn BIGINT NOT NULL,
	refused BIGINT NOT NULL,
	duplicate BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE publication (
	id INTEGER PRIMARY KEY,
	study BIGINT NOT NULL,
	actor TEXT NOT NULL,
	instances BIGINT NOT NULL,
	published BIGINT NOT NULL
);
CREATE INDEX publication_of_study ON publication (study);

CREATE TABLE checkpoint (
	pack BLOB NOT NULL PRIMARY KEY,
	upto BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE unused (
	pack BLOB NOT NULL,
	pack_offset BIGINT NOT NULL,
	size BIGINT NOT NULL,
	instance BIGINT NOT NULL,
	why TEXT NOT NULL,
	since BIGINT NOT NULL,
	PRIMARY KEY (pack, pack_offset)
) WITHOUT ROWID;
-- +goose Down
DROP TABLE unused;
DROP TABLE checkpoint;
DROP TABLE publication;
DROP TABLE intake;
DROP TABLE refusal;
DROP TABLE deposit;
DROP TABLE study_open;
DROP TABLE study_part;
DROP TABLE instance;
DROP TABLE series_request;
DROP TABLE series;
DROP TABLE study;
