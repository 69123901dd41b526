-- +goose Up
CREATE TABLE account (
	id TEXT NOT NULL PRIMARY KEY,
	issuer TEXT NOT NULL,
	subject TEXT NOT NULL,
	name TEXT NOT NULL,
	created BIGINT NOT NULL,
	disabled BIGINT NOT NULL,
	UNIQUE (issuer, subject)
);
CREATE TABLE account_grant (
	account TEXT NOT NULL,
	role TEXT NOT NULL,
	collection TEXT NOT NULL,
	PRIMARY KEY (account, role, collection)
);
CREATE TABLE passkey (
	id BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	name TEXT NOT NULL,
	credential TEXT NOT NULL,
	created BIGINT NOT NULL,
	used BIGINT NOT NULL
);
CREATE INDEX passkey_of ON passkey (account);
CREATE TABLE session (
	hash BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	way TEXT NOT NULL,
	created BIGINT NOT NULL,
	used BIGINT NOT NULL,
	ends BIGINT NOT NULL
);
CREATE INDEX session_of ON session (account);
CREATE TABLE sign_in_link (
	hash BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	ends BIGINT NOT NULL
);
CREATE TABLE ceremony (
	hash BLOB NOT NULL PRIMARY KEY,
	account TEXT NOT NULL,
	state TEXT NOT NULL,
	ends BIGINT NOT NULL
);
-- +goose Down
DROP TABLE ceremony;
DROP TABLE sign_in_link;
DROP TABLE session;
DROP TABLE passkey;
DROP TABLE account_grant;
DROP TABLE account;
