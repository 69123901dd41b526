package render

import "testing"

func TestBlack(t *testing.T) {
	grey := Attributes{Rows: 1, Columns: 1, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME1"}
	if got := grey.Black(); got != [4]uint32{255} {
		t.Errorf("where zero is white: %v", got)
	}
	bright := table{values: []uint16{255, 9, 255, 8}, top: 255}
	a := Attributes{Rows: 1, Columns: 1, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "PALETTE COLOR", palette: &[3]table{bright, bright, bright}}
	if got := a.Black(); got != [4]uint32{3} {
		t.Errorf("of a palette: %v", got)
	}
}
