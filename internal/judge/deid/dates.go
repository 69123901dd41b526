package deid

import (
	"bytes"
	"time"
)

// Dates go back by whole weeks (PS3.15 E.3.6), so that intervals and weekdays hold; times of day stay, without fractions of a second. A value that
// is not a date in the standard's form is no date to shift: it is refused, never passed.

// shiftDA shifts a DA value: YYYYMMDD, the ACR-NEMA form YYYY.MM.DD, or a range of a query (PS3.5 6.2). false if it is none of these.
func shiftDA(dst, v []byte, weeks int) ([]byte, bool) {
	v = bytes.Trim(v, " \x00")
	if i := bytes.IndexByte(v, '-'); i >= 0 {
		var ok bool
		if i > 0 {
			if dst, ok = shiftDA(dst, v[:i], weeks); !ok {
				return dst, false
			}
		}
		dst = append(dst, '-')
		if i+1 < len(v) {
			return shiftDA(dst, v[i+1:], weeks)
		}
		return dst, i > 0
	}
	if len(v) == 10 && v[4] == '.' && v[7] == '.' {
		dst, ok := shiftDay(dst, [8]byte{v[0], v[1], v[2], v[3], v[5], v[6], v[8], v[9]}, weeks)
		return dst, ok
	}
	if len(v) != 8 {
		return dst, false
	}
	return shiftDay(dst, [8]byte(v), weeks)
}

func shiftDay(dst []byte, v [8]byte, weeks int) ([]byte, bool) {
	t, ok := day(v)
	if !ok {
		return dst, false
	}
	t = t.AddDate(0, 0, -7*weeks)
	if t.Year() < 1000 {
		return dst, false
	}
	return t.AppendFormat(dst, "20060102"), true
}

func day(v [8]byte) (time.Time, bool) {
	n := [8]int{}
	for i, c := range v {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		n[i] = int(c - '0')
	}
	y, m, d := n[0]*1000+n[1]*100+n[2]*10+n[3], n[4]*10+n[5], n[6]*10+n[7]
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return t, t.Year() == y && int(t.Month()) == m && t.Day() == d
}

// shiftDT shifts a DT value, YYYY[MM[DD[HH[MM[SS[.F]]]]]][&ZZXX]. Of a partial date, which has no day to count weeks from, the middle of what it
// covers is shifted, to the same precision.
func shiftDT(dst, v []byte, weeks int, hours bool) ([]byte, bool) {
	v = bytes.Trim(v, " \x00")
	zone := []byte(nil)
	if i := bytes.LastIndexAny(v, "+-"); i >= 4 {
		v, zone = v[:i], v[i:]
		if len(zone) == 1 || len(zone) > 5 { // an open range
			return dst, false
		}
		if len(zone) != 5 || !allDigits(zone[1:]) {
			return dst, false
		}
	}
	if i := bytes.IndexByte(v, '.'); i >= 0 {
		if i != 14 || !allDigits(v[i+1:]) {
			return dst, false
		}
		v = v[:i]
	}
	if !allDigits(v) || len(v) < 4 || len(v) > 14 || len(v)%2 != 0 {
		return dst, false
	}
	full := [8]byte{'0', '0', '0', '0', '0', '7', '0', '1'}
	if len(v) >= 6 {
		full[6], full[7] = '1', '5'
	}
	copy(full[:], v)
	at := len(dst)
	dst, ok := shiftDay(dst, full, weeks)
	if !ok {
		return dst, false
	}
	if len(v) < 8 {
		return append(dst[:at+len(v)], zone...), true
	}
	if !clock(v[8:]) {
		return dst[:at], false
	}
	if hours && len(v) > 10 {
		v = append(bytes.Clone(v[:10]), "0000"[:len(v)-10]...)
	}
	return append(append(dst, v[8:]...), zone...), true
}

// cutTM is a TM value without fractions of a second; with hours, without minutes too.
func cutTM(dst, v []byte, hours bool) ([]byte, bool) {
	v = bytes.Trim(v, " \x00")
	if i := bytes.IndexByte(v, '-'); i >= 0 {
		return dst, false
	}
	var b [6]byte
	n := 0
	for i, c := range v {
		switch {
		case c >= '0' && c <= '9':
			if n == 6 {
				return dst, false
			}
			b[n] = c
			n++
		case c == ':' && (i == 2 || i == 5): // ACR-NEMA
		case c == '.' && n == 6:
			if !allDigits(v[i+1:]) {
				return dst, false
			}
			v = nil
		default:
			return dst, false
		}
		if v == nil {
			break
		}
	}
	if n < 2 || n%2 != 0 || !clock(b[:n]) {
		return dst, false
	}
	if hours {
		copy(b[2:], "0000")
	}
	return append(dst, b[:n]...), true
}

func clock(v []byte) bool {
	for i := 0; i+1 < len(v); i += 2 {
		n := int(v[i]-'0')*10 + int(v[i+1]-'0')
		if i == 0 && n > 23 || i == 2 && n > 59 || i == 4 && n > 60 {
			return false
		}
	}
	return true
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// capAge is an AS value no greater than 90 years; with bands, in years of the five-year band that it falls in. Ages above 89 are among the
// identifiers of the Safe Harbor method and rare everywhere.
func capAge(v []byte, bands bool) (string, bool) {
	v = bytes.Trim(v, " \x00")
	if len(v) != 4 || !allDigits(v[:3]) {
		return "", false
	}
	n := int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
	var years int
	switch v[3] {
	case 'Y':
		years = n
	case 'M':
		years = n / 12
	case 'W':
		years = n / 52
	case 'D':
		years = n / 365
	default:
		return "", false
	}
	switch {
	case years > 89:
		return "090Y", true
	case bands:
		years -= years % 5
		return string([]byte{'0', '0' + byte(years/10), '0' + byte(years%10), 'Y'}), true
	}
	return string(v), true
}
