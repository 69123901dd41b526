package document

import (
	"bytes"
	"encoding/xml"
	"strings"

	"golang.org/x/net/html/charset"
)

const (
	maxDepth  = 200
	maxTokens = 2 << 20
)

// participants are the parts of a CDA's head that name people and places (CDA R2 4.2.2), by what they are called here.
var participants = map[string]string{
	"recordTarget": "Patient", "author": "Author", "dataEnterer": "Entered by", "informant": "Informant", "custodian": "Custodian", "informationRecipient": "Recipient",
	"legalAuthenticator": "Signed by", "authenticator": "Signed by", "participant": "Participant", "documentationOf": "What it documents", "componentOf": "Encounter",
	"inFulfillmentOf": "Order", "authorization": "Consent", "relatedDocument": "Another document", "guardian": "Guardian", "providerOrganization": "Provider",
	"serviceProviderOrganization": "Provider",
}

// said are the elements of the head that say something, by what that is called.
var said = map[string]string{"name": "name", "addr": "address", "birthTime": "born", "administrativeGenderCode": "sex", "time": "when", "effectiveTime": "when", "title": "Title",
	"telecom": "contact", "id": "identifier", "setId": "identifier", "raceCode": "race", "ethnicGroupCode": "ethnic group", "maritalStatusCode": "marital status", "religiousAffiliationCode": "religion"}

// readXML reads a clinical document: people and places of its head apart from the text of its sections. Of other XML it is all text.
func (c *Contents) readXML(doc []byte) {
	doc = bytes.TrimRight(doc, "\x00")
	if c.Kind != CDA {
		c.passage(Passage{Text: textOfXML(doc)})
		return
	}
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.CharsetReader = charset.NewReaderLabel
	r := cdaReader{c: c}
	for n := 0; n < maxTokens; n++ {
		t, err := d.Token()
		if err != nil {
			if err.Error() != "EOF" {
				c.remark(remarkTruncated)
			}
			break
		}
		if !r.token(t) {
			c.remark(remarkMore)
			break
		}
	}
	r.section()
}

// cdaReader goes through a document once. Entities are not expanded: encoding/xml knows those of XML alone.
type cdaReader struct {
	c     *Contents
	open  []string // names of the elements that are open
	roles []string // by depth: what the people and places there are; "" as outside
	said  [][]byte // by depth: the text of a name, an address ...

	body  int // depth of the body; 0: not there
	title strings.Builder
	text  strings.Builder
}

func (r *cdaReader) role() string {
	if len(r.roles) == 0 {
		return ""
	}
	return r.roles[len(r.roles)-1]
}

func (r *cdaReader) within(name string) bool {
	for _, o := range r.open {
		if o == name {
			return true
		}
	}
	return false
}

func (r *cdaReader) token(t xml.Token) bool {
	switch t := t.(type) {
	case xml.StartElement:
		if len(r.open) >= maxDepth {
			return false
		}
		r.start(t)
	case xml.CharData:
		r.chars(string(t))
	case xml.EndElement:
		r.end()
	case xml.Comment:
		if s := strings.TrimSpace(string(t)); s != "" {
			r.c.passage(Passage{Title: "A comment within it", Text: s})
		}
	}
	return true
}

func (r *cdaReader) start(t xml.StartElement) {
	name := t.Name.Local
	role := r.role()
	if p, ok := participants[name]; ok && r.body == 0 {
		role = p
	}
	r.open, r.roles, r.said = append(r.open, name), append(r.roles, role), append(r.said, nil)
	value := func(key string) string {
		for _, a := range t.Attr {
			if a.Name.Local == key {
				return a.Value
			}
		}
		return ""
	}
	switch name {
	case "structuredBody", "nonXMLBody":
		r.body = len(r.open)
		if name == "nonXMLBody" {
			r.c.remark(remarkEmbedded)
		}
	case "section":
		r.section()
	case "observationMedia", "renderMultiMedia":
		r.c.remark(remarkEmbedded)
	case "br", "paragraph", "item", "tr", "caption":
		if r.body > 0 && r.text.Len() > 0 {
			r.text.WriteByte('\n')
		}
	case "td", "th":
		if r.body > 0 {
			r.text.WriteString("  ")
		}
	}
	if r.body > 0 {
		return
	}
	if what, ok := said[name]; ok {
		for _, key := range [...]string{"extension", "value", "displayName"} {
			if v := value(key); v != "" {
				r.say(what, v)
			}
		}
	}
}

func (r *cdaReader) chars(s string) {
	if len(r.open) == 0 || strings.TrimSpace(s) == "" {
		return
	}
	if r.body > 0 {
		switch {
		case r.open[len(r.open)-1] == "title":
			r.title.WriteString(s)
		case r.within("text") && !r.within("nonXMLBody") && r.text.Len() < maxText:
			r.text.WriteString(s)
		case !r.within("nonXMLBody") && r.text.Len() < maxText: // in an entry, where text should be an attribute's
			r.text.WriteString(s + " ")
		}
		return
	}
	// Of a name or address the parts are read together.
	for k := range r.open {
		if _, ok := said[r.open[k]]; ok {
			if b := &r.said[k]; len(*b) < maxValue {
				if len(*b) > 0 {
					*b = append(*b, ' ')
				}
				*b = append(*b, strings.TrimSpace(s)...)
			}
			return
		}
	}
	r.say("", strings.TrimSpace(s))
}

func (r *cdaReader) end() {
	k := len(r.open) - 1
	if k < 0 {
		return
	}
	name := r.open[k]
	if what, ok := said[name]; ok && r.body == 0 {
		r.say(what, string(r.said[k]))
	}
	if name == "section" {
		r.section()
	}
	if r.body == k+1 {
		r.section()
		r.body = 0
	}
	r.open, r.roles, r.said = r.open[:k], r.roles[:k], r.said[:k]
}

// say notes what the head says.
func (r *cdaReader) say(what, value string) {
	name := what
	if role := r.role(); role != "" {
		name = strings.TrimSuffix(role+", "+what, ", ")
	} else if what == "" {
		name = "Text in its head"
	} else if what != "Title" {
		name = "Document, " + what
	}
	r.c.fact(name, value)
}

// section ends the section that is being read.
func (r *cdaReader) section() {
	r.c.passage(Passage{Title: strings.TrimSpace(r.title.String()), Text: r.text.String()})
	r.title.Reset()
	r.text.Reset()
}
