-- +goose Up
-- The meaning of every column is written in docs/formats/access.md.
CREATE TABLE access_request (
	id INTEGER PRIMARY KEY,
	applicant TEXT NOT NULL,
	key_id BLOB NOT NULL,
	draft BLOB,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL
);
CREATE INDEX access_request_of ON access_request (applicant, changed);
CREATE TABLE access_item (
	request BIGINT NOT NULL,
	n BIGINT NOT NULL,
	collection TEXT NOT NULL,
	dataset TEXT NOT NULL,
	versions TEXT NOT NULL,
	committee TEXT NOT NULL,
	state BIGINT NOT NULL,
	verdict BIGINT NOT NULL,
	since BIGINT NOT NULL,
	submitted BIGINT NOT NULL,
	decided BIGINT NOT NULL,
	custodian_time BIGINT NOT NULL,
	applicant_time BIGINT NOT NULL,
	PRIMARY KEY (request, n)
);
CREATE INDEX access_item_in ON access_item (collection, state, since);
CREATE TABLE access_event (
	request BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	item BIGINT NOT NULL,
	kind BIGINT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	body BLOB,
	PRIMARY KEY (request, seq)
);
CREATE TABLE access_agreement (
	id INTEGER PRIMARY KEY,
	request BIGINT NOT NULL,
	collection TEXT NOT NULL,
	scope BIGINT NOT NULL,
	template TEXT NOT NULL,
	terms BLOB NOT NULL,
	commercial BIGINT NOT NULL,
	effective BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	state BIGINT NOT NULL,
	digest BLOB NOT NULL,
	size BIGINT NOT NULL,
	uploaded_by TEXT NOT NULL,
	uploaded BIGINT NOT NULL,
	checked_by TEXT NOT NULL,
	checked BIGINT NOT NULL
);
CREATE INDEX access_agreement_of ON access_agreement (request);
CREATE INDEX access_agreement_in ON access_agreement (collection, state);
CREATE TABLE access_document (
	agreement BIGINT PRIMARY KEY,
	body BLOB NOT NULL
);
CREATE TABLE access_entitlement (
	id INTEGER PRIMARY KEY,
	account TEXT NOT NULL,
	collection TEXT NOT NULL,
	dataset TEXT NOT NULL,
	versions TEXT NOT NULL,
	capability BIGINT NOT NULL,
	request BIGINT NOT NULL,
	item BIGINT NOT NULL,
	agreement BIGINT NOT NULL,
	nbf BIGINT NOT NULL,
	exp BIGINT NOT NULL,
	state BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	conditions BLOB,
	public TEXT NOT NULL
);
CREATE INDEX access_entitlement_by ON access_entitlement (request, item);
CREATE INDEX access_entitlement_of ON access_entitlement (account, collection, exp);
CREATE INDEX access_entitlement_in ON access_entitlement (collection, nbf);
CREATE TABLE access_entitlement_event (
	entitlement BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	kind BIGINT NOT NULL,
	actor TEXT NOT NULL,
	at BIGINT NOT NULL,
	body BLOB,
	PRIMARY KEY (entitlement, seq)
);
CREATE TABLE access_reminder (
	account TEXT PRIMARY KEY,
	sealed BLOB NOT NULL,
	asked BIGINT NOT NULL,
	mail TEXT NOT NULL,
	mail_why TEXT NOT NULL,
	mailed BIGINT NOT NULL
);
CREATE TABLE access_reminded (
	account TEXT NOT NULL,
	about TEXT NOT NULL,
	told BIGINT NOT NULL,
	PRIMARY KEY (account, about)
);
-- +goose Down
DROP TABLE access_reminded;
DROP TABLE access_reminder;
DROP TABLE access_entitlement_event;
DROP TABLE access_entitlement;
DROP TABLE access_document;
DROP TABLE access_agreement;
DROP TABLE access_event;
DROP TABLE access_item;
DROP TABLE access_request;
