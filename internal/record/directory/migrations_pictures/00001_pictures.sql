-- +goose Up
-- The meaning of every table and column is written in docs/formats/directory.md.
CREATE TABLE directory_picture (
	collection TEXT NOT NULL,
	n BIGINT NOT NULL,
	place BIGINT NOT NULL,
	instance BIGINT NOT NULL,
	frame BIGINT NOT NULL,
	modality TEXT NOT NULL,
	shows TEXT NOT NULL,
	shown_window TEXT NOT NULL,
	picked_by TEXT NOT NULL,
	picked_at BIGINT NOT NULL,
	PRIMARY KEY (collection, n),
	UNIQUE (collection, instance, frame)
);
-- +goose Down
DROP TABLE directory_picture;
