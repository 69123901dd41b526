-- +goose Up
-- face: what the slices of a series show by their pixels: empty, they were not looked at; face, unsure, no-face, no-head. face_found: the finding as JSON.
ALTER TABLE series ADD COLUMN face TEXT NOT NULL DEFAULT '';
ALTER TABLE series ADD COLUMN face_found TEXT NOT NULL DEFAULT '';
