-- +goose Up
ALTER TABLE account ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN locked BIGINT NOT NULL DEFAULT 0;
CREATE TABLE sign_in_code (
	hash BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	ends BIGINT NOT NULL
);
CREATE TABLE authenticator (
	account TEXT NOT NULL PRIMARY KEY,
	wrapped BLOB NOT NULL,
	step BIGINT NOT NULL,
	created BIGINT NOT NULL,
	used BIGINT NOT NULL
);
CREATE TABLE recovery_code (
	hash BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL
);
CREATE INDEX recovery_code_of ON recovery_code (account);
CREATE TABLE known_browser (
	hash BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	created BIGINT NOT NULL,
	ends BIGINT NOT NULL
);
CREATE INDEX known_browser_of ON known_browser (account);
CREATE TABLE account_identity (
	issuer TEXT NOT NULL,
	subject TEXT NOT NULL,
	account TEXT NOT NULL,
	created BIGINT NOT NULL,
	used BIGINT NOT NULL,
	PRIMARY KEY (issuer, subject)
);
CREATE INDEX account_identity_of ON account_identity (account);
-- +goose Down
DROP TABLE account_identity;
DROP TABLE known_browser;
DROP TABLE recovery_code;
DROP TABLE authenticator;
DROP TABLE sign_in_code;
ALTER TABLE account DROP COLUMN locked;
ALTER TABLE account DROP COLUMN failures;
ALTER TABLE account DROP COLUMN seen;
