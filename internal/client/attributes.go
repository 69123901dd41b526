package client

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Attributes are an answer in the DICOM JSON model (PS3.18 F): attributes by tag.
type Attributes map[string]Attribute

// Attribute is one of them.
type Attribute struct {
	VR    string            `json:"vr"`
	Value []json.RawMessage `json:"Value,omitempty"`
}

// Strings are the values of an attribute as text.
func (a Attributes) Strings(tag dicom.Tag) []string {
	at, ok := a[tag.Hex()]
	if !ok {
		return nil
	}
	var all []string
	for _, v := range at.Value {
		all = append(all, text(v))
	}
	return all
}

// String is the first value of an attribute.
func (a Attributes) String(tag dicom.Tag) string {
	if s := a.Strings(tag); len(s) > 0 {
		return s[0]
	}
	return ""
}

// Int is the first value as a number; 0 if it is none.
func (a Attributes) Int(tag dicom.Tag) int {
	n, _ := strconv.Atoi(a.String(tag))
	return n
}

// Items are those of a sequence.
func (a Attributes) Items(tag dicom.Tag) []Attributes {
	var items []Attributes
	for _, v := range a[tag.Hex()].Value {
		var item Attributes
		if json.Unmarshal(v, &item) == nil && item != nil {
			items = append(items, item)
		}
	}
	return items
}

func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	var name struct{ Alphabetic, Ideographic, Phonetic string }
	if len(v) > 0 && v[0] == '{' && json.Unmarshal(v, &name) == nil {
		return strings.TrimRight(name.Alphabetic+"="+name.Ideographic+"="+name.Phonetic, "=")
	}
	return strings.TrimSpace(string(v)) // a number; null is empty
}
