package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/client"
)

// parseQuery turns words such as PatientID=AB* Modality=CT StudyDate=2024..2025 into attributes to match (PS3.18 8.3.4).
func parseQuery(words []string, level client.Level) (url.Values, error) {
	match := url.Values{}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return nil, usage("%q is no query; a query is ATTRIBUTE=VALUE, such as Modality=CT or StudyDate=2024..", w)
		}
		tag, err := dicom.ParseTag(key)
		if err != nil {
			return nil, usage("there is no attribute %q; write its keyword or tag, such as PatientID or 00100020", key)
		}
		name := tag.Keyword()
		if name == "" {
			name = tag.Hex()
		}
		if level == client.Study && tag == dicom.TagModality {
			name = "ModalitiesInStudy" // a study has no modality of its own (PS3.4 C.6.2.1.2)
		}
		if e, ok := dicom.LookupTag(tag); ok && e.VR == dicom.VRDA {
			if value, err = dateRange(value); err != nil {
				return nil, usage("%s: %w", key, err)
			}
		}
		if e, ok := dicom.LookupTag(tag); ok && e.VR == dicom.VRUI && strings.Contains(value, `\`) {
			value = strings.ReplaceAll(value, `\`, ",") // PS3.18 8.3.4.1
		}
		match.Add(name, value)
	}
	return match, nil
}

var dateForm = regexp.MustCompile(`^(\d{4})(?:-?(\d{2})(?:-?(\d{2}))?)?$`)

// dateRange reads a date, 2024, 2024-03 or 2024-03-05, or a range of two of them with .. between, either of which may be missing. DICOM's own forms pass.
func dateRange(s string) (string, error) {
	from, to, isRange := strings.Cut(s, "..")
	if !isRange {
		if m := dateForm.FindStringSubmatch(s); m != nil && m[3] == "" {
			from, to = s, s // a year or a month is a range of days
		} else if m != nil {
			return strings.ReplaceAll(s, "-", ""), nil
		} else {
			return s, nil // a range of DICOM's own, or a list: the server judges it
		}
	}
	a, err := dateEnd(from, false)
	if err != nil {
		return "", err
	}
	b, err := dateEnd(to, true)
	if err != nil {
		return "", err
	}
	if a == "" && b == "" {
		return "", fmt.Errorf("a range needs a beginning or an end, such as 2024..2025")
	}
	return a + "-" + b, nil
}

func dateEnd(s string, last bool) (string, error) {
	if s == "" {
		return "", nil
	}
	m := dateForm.FindStringSubmatch(s)
	if m == nil {
		return "", fmt.Errorf("%q is no date; write 2024, 2024-03 or 2024-03-05", s)
	}
	layout, text := "2006", m[1]
	if m[2] != "" {
		layout, text = "200601", m[1]+m[2]
	}
	if m[3] != "" {
		layout, text = "20060102", m[1]+m[2]+m[3]
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return "", fmt.Errorf("%q is no date", s)
	}
	if last {
		switch {
		case m[2] == "":
			t = t.AddDate(1, 0, -1)
		case m[3] == "":
			t = t.AddDate(0, 1, -1)
		}
	}
	return t.Format("20060102"), nil
}
