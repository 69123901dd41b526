package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/client"
)

type findCmd struct {
	serverFlags
	Query      []string `arg:"" optional:"" name:"query" help:"What to match: PatientID=.. Modality=CT StudyDate=2024.. or any attribute by keyword or tag; * and ? stand for other characters."`
	Collection string   `placeholder:"ID" help:"In this collection alone."`
	Level      string   `enum:"study,series,instance" default:"study" help:"What to list: ${enum}."`
	Limit      int      `default:"100" placeholder:"N" help:"At most so many; 0 for all. Default: ${default}."`
	Include    []string `placeholder:"ATTRIBUTE" help:"Further attributes, shown with --output json."`
}

// column is a column of the table.
type column struct {
	head string
	tag  dicom.Tag
}

var columns = map[client.Level][]column{
	client.Study: {
		{"PATIENT ID", dicom.TagPatientID}, {"DATE", dicom.TagStudyDate}, {"MODALITIES", dicom.TagModalitiesInStudy}, {"DESCRIPTION", dicom.TagStudyDescription},
		{"SERIES", dicom.TagNumberOfStudyRelatedSeries}, {"INSTANCES", dicom.TagNumberOfStudyRelatedInstances}, {"STUDY", dicom.TagStudyInstanceUID},
	},
	client.Series: {
		{"PATIENT ID", dicom.TagPatientID}, {"DATE", dicom.TagStudyDate}, {"MODALITY", dicom.TagModality}, {"NO", dicom.TagSeriesNumber}, {"DESCRIPTION", dicom.TagSeriesDescription},
		{"BODY PART", dicom.TagBodyPartExamined}, {"INSTANCES", dicom.TagNumberOfSeriesRelatedInstances}, {"SERIES", dicom.TagSeriesInstanceUID},
	},
	client.Instance: {
		{"PATIENT ID", dicom.TagPatientID}, {"MODALITY", dicom.TagModality}, {"SERIES NO", dicom.TagSeriesNumber}, {"NO", dicom.TagInstanceNumber},
		{"ROWS", dicom.TagRows}, {"COLUMNS", dicom.TagColumns}, {"FRAMES", dicom.TagNumberOfFrames}, {"INSTANCE", dicom.TagSOPInstanceUID},
	},
}

// Run searches.
func (c *findCmd) Run(ctx context.Context, s *streams) error {
	level := client.Level(c.Level)
	match, err := parseQuery(c.Query, level)
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return usage("--limit is 0 or more")
	}
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	q := client.Query{Collection: c.Collection, Level: level, Match: match, Limit: c.Limit, Include: c.Include}
	if c.Limit > 0 {
		q.Limit++ // one more tells whether there is more
	}
	for _, col := range columns[level] {
		q.Include = append(q.Include, col.tag.Hex())
	}
	t := &table{none: "Nothing matches."}
	for _, col := range columns[level] {
		t.head = append(t.head, col.head)
	}
	type result struct {
		value map[string]any
		row   []string
	}
	var results []result
	more := false
	err = cl.Search(ctx, q, func(a client.Attributes) error {
		if c.Limit > 0 && len(results) == c.Limit {
			more = true
			return nil
		}
		var row []string
		for _, col := range columns[level] {
			v := strings.Join(a.Strings(col.tag), ",")
			if col.tag == dicom.TagStudyDate {
				v = dashed(v)
			}
			row = append(row, v)
		}
		results = append(results, result{readable(a), row})
		return nil
	})
	if err != nil {
		return err
	}
	// By the first columns: patient, and then date or series.
	slices.SortStableFunc(results, func(a, b result) int { return slices.CompareFunc(a.row[:2], b.row[:2], strings.Compare) })
	found := []map[string]any{}
	for _, r := range results {
		found = append(found, r.value)
		t.add(r.row...)
	}
	if err := s.list(found, t); err != nil {
		return err
	}
	if more {
		s.say("There is more: these are the first %d. --limit 0 lists all.", c.Limit)
	}
	return nil
}

// readable is a result by keywords: JSON for people's scripts, where the DICOM JSON model is for programs.
func readable(a client.Attributes) map[string]any {
	m := map[string]any{}
	for hex, at := range a {
		tag, err := dicom.ParseTag(hex)
		if err != nil {
			continue
		}
		name := tag.Keyword()
		if name == "" {
			name = hex
		}
		if at.VR == "SQ" {
			var items []any
			for _, it := range a.Items(tag) {
				items = append(items, readable(it))
			}
			m[name] = items
			continue
		}
		values := a.Strings(tag)
		var v any
		switch {
		case len(values) == 0:
		case len(values) == 1 && !multiple(tag):
			v = number(at.VR, values[0])
		default:
			list := make([]any, len(values))
			for i := range values {
				list[i] = number(at.VR, values[i])
			}
			v = list
		}
		m[name] = v
	}
	return m
}

// multiple reports an attribute that may have several values: always a list, so that a script need not look.
func multiple(tag dicom.Tag) bool {
	e, ok := dicom.LookupTag(tag)
	return ok && e.VM != "1"
}

func number(vr, v string) any {
	switch vr {
	case "IS", "US", "SS", "UL", "SL", "UV", "SV":
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	case "DS", "FL", "FD":
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return f
		}
	}
	return v
}

// dashed is a date as people read it.
func dashed(d string) string {
	if len(d) == 8 {
		return d[:4] + "-" + d[4:6] + "-" + d[6:]
	}
	return d
}
