-- +goose Up
-- reading: 0, there is nothing to read in its pixels; 1, they are to be read for text; 2, they have been. found: what a reading found, of what is held yet.
ALTER TABLE instance ADD COLUMN reading BIGINT NOT NULL DEFAULT 0;
ALTER TABLE instance ADD COLUMN found TEXT NOT NULL DEFAULT '';
CREATE INDEX instance_unread ON instance (series, id) WHERE reading = 1;
UPDATE instance SET reading = 1 WHERE state = 3 AND row_count > 0 AND (reasons LIKE '%"code":"burned-in-%' OR reasons LIKE '%"code":"screen-capture"%');
