//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// What was measured stands in the table in the column of its size and database, and in the plot, which is well-formed.
func TestGrowthReport(t *testing.T) {
	var all []measurement
	for _, engine := range []string{"sqlite", "postgresql"} {
		for _, size := range []int{10000, 100000} {
			all = append(all,
				measurement{Test: growIngest, Contender: engine, Count: piece, At: size, Rate: 777, Each: 0.5, Database: 1234},
				measurement{Test: searchUID, Contender: engine, Count: 10, At: size, P50: 0.25, P99: 4.5, Each: 0.31},
				measurement{Test: growStart, Contender: engine, Count: 1, At: size, Seconds: 0.18},
				measurement{Test: growSize, Contender: engine, Count: size, At: size, Bytes: map[string]int64{"packs": int64(size) * 12000, "small": 1}},
			)
		}
	}
	var b bytes.Buffer
	growthTable(&b, all)
	for _, want := range []string{
		"| figure | SQLite 10,000 | SQLite 100,000 | PostgreSQL 10,000 | PostgreSQL 100,000 |",
		"| C-STORE, instances a second | 777 | 777 | 777 | 777 |",
		"| CPU of PostgreSQL for an instance, ms |  |  | 123 | 123 |",
		"0.25 / 4.50 (0.31)", "| start until ready, s | 0.18 |", "| 120 (12.0) | 1200 (12.0) |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "small") {
		t.Error("what takes no room is in the table")
	}
	picture := growthPicture(all)
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(picture, []byte("1,000")) && !bytes.Contains(picture, []byte("100,000")) {
		t.Error("the axis has no numbers")
	}
}
