-- +goose Up
-- kind, layout: keyed hashes of what an instance that is held has in common with others; empty: not looked at yet. ruling: the number of the standing decision that
-- accepted it; 0: none.
ALTER TABLE instance ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE instance ADD COLUMN layout TEXT NOT NULL DEFAULT '';
ALTER TABLE instance ADD COLUMN ruling BIGINT NOT NULL DEFAULT 0;
CREATE INDEX instance_unlikened ON instance (id) WHERE state IN (3, 4) AND kind = '' AND reading <> 1;
CREATE INDEX instance_layout ON instance (layout, id) WHERE layout <> '';
CREATE INDEX instance_kind ON instance (kind, id) WHERE kind <> '';
CREATE INDEX instance_ruling ON instance (collection, ruling, id) WHERE ruling > 0;
