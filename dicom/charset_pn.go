package dicom

import "strings"

// Name is one representation of a person's name (PS3.5 6.2.1.1).
type Name struct {
	Family, Given, Middle, Prefix, Suffix string
}

// PersonName is a PN value: the same name in letters, ideographs and phonetic characters.
type PersonName struct {
	Alphabetic, Ideographic, Phonetic Name
}

// ParsePN reads one decoded PN value. Components beyond the fifth stay in the suffix, groups beyond the third are dropped.
func ParsePN(s string) PersonName {
	var p PersonName
	rest, more := strings.TrimRight(s, " \x00"), true
	for _, n := range []*Name{&p.Alphabetic, &p.Ideographic, &p.Phonetic} {
		if !more {
			break
		}
		var group string
		group, rest, more = strings.Cut(rest, "=")
		*n = parseName(group)
	}
	return p
}

func parseName(s string) Name {
	c := strings.SplitN(s, "^", 5)
	for len(c) < 5 {
		c = append(c, "")
	}
	for i := range c {
		c[i] = strings.Trim(c[i], " \x00")
	}
	return Name{c[0], c[1], c[2], c[3], strings.TrimRight(c[4], "^ \x00")}
}

// String is the group as PN writes it, without trailing delimiters.
func (n Name) String() string {
	return strings.TrimRight(strings.Join([]string{n.Family, n.Given, n.Middle, n.Prefix, n.Suffix}, "^"), "^")
}

// String is the value as PN writes it, without trailing delimiters.
func (p PersonName) String() string {
	return strings.TrimRight(p.Alphabetic.String()+"="+p.Ideographic.String()+"="+p.Phonetic.String(), "=")
}

// IsZero reports a name without any part.
func (p PersonName) IsZero() bool { return p == PersonName{} }
