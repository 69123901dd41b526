package dicom

import "testing"

func TestEveryTransferSyntaxHasItsName(t *testing.T) {
	all := TransferSyntaxes()
	if len(all) < 50 {
		t.Errorf("%d transfer syntaxes", len(all))
	}
	for _, ts := range all {
		if ts.Name == "" {
			t.Errorf("%s has no name", ts.UID)
		}
	}
}
