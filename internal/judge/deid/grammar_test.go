package deid

import (
	"strings"
	"testing"
)

// Words and numbers that the vocabulary lets through one by one, and that together are somebody's.
func TestGrammars(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// NHS, CHI, Health and Care and GMC numbers, however they are parted
		{"chest 943 476 5919", "chest"}, {"chest 9434765919", "chest"}, {"chest 943-476-5919 ct", "chest ct"}, {"chest 943.4765919", "chest"},
		{"chest 9434.765919", "chest"}, {"chest 943x476x5919", "chest"}, {"chest 94 34 76 59 19", "chest"}, {"CHI 010190 1234 chest", "chest"},
		{"ct 320 123 4564", "ct"}, {"gmc 7412345", ""}, {"chest GMC no 7412345", "chest"},
		// postcodes whose letters are words of the vocabulary
		{"chest CT1 2EP", "chest"}, {"chest CT12EP", "chest"}, {"chest_CT1_2EP", "chest"}, {"B1 1TR head", "head"}, {"M1 1AE", ""}, {"head, L1 8JQ, axial", "head, axial"},
		{"EC1A 1BB", ""}, {"SW1A2AA lung", "lung"}, {"GIR 0AA", ""}, {"BT7 1NN", ""}, {"ct1 2ep", ""},
		// telephones, rooms, lines
		{"chest 0121 496 0123", "chest"}, {"call +44 20 7946 0018", ""}, {"chest ext 4567", "chest ext"}, {"chest bed 4", "chest bed"}, {"chest bay 2 bed 14", "chest bay bed"},
		{"Rose Ward Bed 4", "Bed"}, {"chest phone 555 0173", "chest"}, {"bleep 1234 chest", "bleep chest"},
		// records
		{"chest MR1234", "chest"}, {"CT4471 chest", "chest"}, {"S19-4471 core biopsy", "core biopsy"}, {"biopsy 19S-447", "biopsy"}, {"H22/3310 liver", "liver"}, {"liver ref 4471", "liver ref"},
		{"chest id 4471", "chest"}, {"number 8812 chest", "number chest"},
		// addresses
		{"14 Stone Lane chest", "chest"}, {"chest 12 Bone Street", "chest"}, {"3 Green Close", ""}, {"chest Wall Street", "chest"}, {"9 High Road, chest", "chest"},
		// dates in words and halves
		{"chest third of March 2019", "chest"}, {"chest 3rd Mar '19", "chest"}, {"chest Mar-19", "chest"}, {"chest 12Mar19", "chest"}, {"chest 12mar2019", "chest"},
		{"chest second of Mar", "chest"}, {"chest 03/19", "chest"}, {"chest March 12th 2019 14:32", "chest"}, {"chest twenty first of mar", "chest"}, {"mar 3 chest", "chest"},
		// ages
		{"93 year old female", "year old female"}, {"aged 93 female", "aged female"}, {"93yo female", "female"}, {"93-year-old female", "year old female"}, {"chest 93F", "chest"}, {"aet 101 chest", "chest"},
		{"61 year old female", "61 year old female"}, {"age 93", "age"},
		// addresses of mail and the web
		{"chest m.stone@lung.org", "chest"}, {"see www.lung.org/chest", ""}, {"http://chest.lung/1", ""}, {`chest \\server\share`, "chest"}, {"chest lung.nhs.uk", "chest"},
		// names that are words
		{"Dr Gray chest", "chest"}, {"chest Mr White", "chest"}, {"Miss Bone chest", "chest"}, {"chest, Mrs Chest", "chest"}, {"Mr Green", ""}, {"Prof. Stone, chest", "chest"},
		{"chest by Gray", "chest"}, {"chest J Gray", "chest"}, {"chest Gray J", "chest"}, {"chest J. Stone", "chest"}, {"Gray, Anthony chest", "chest"}, {"Anthony Gray chest", "chest"},
		{"DR GRAY chest", "DR chest"}, {"MR STONE HEAD", "MR HEAD"}, {"Sr Field chest", "chest"}, {"Dr Ann Gray chest", "chest"}, {"Wall^Max", ""}, {"pt Wall chest", "pt chest"},
	} {
		w := &words{}
		got, _ := w.clean(c.in)
		plain := func(s string) string {
			return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !alnum(byte(r)) }), " ")
		}
		if a, b := plain(got), plain(c.want); a != b {
			// A joining word more or less is no matter; whatever of the input should have gone is.
			t.Errorf("%q becomes %q, not %q", c.in, got, c.want)
		}
	}
}

// What looks like that and is not.
func TestGrammarsKeep(t *testing.T) {
	for _, s := range []string{
		"MR BRAIN", "MR HEAD WO", "DR CHEST PA", "MS lesion", "US abdomen", "chest wall", "gray matter", "stone protocol kidney", "left hand", "R hand", "L foot", "T1 2D", "TR2500", "TE 90",
		"b1000", "512x512", "B31f 1.0", "CT chest 5 mm", "120 kV 90 mA", "phase 90 percent", "MAR", "iMAR 3.0", "view of hand", "90 degrees", "T2 3D space", "L5 S1", "C2 C3 disc",
		"ep2d diff b0 1000", "visit 2 week 12", "level 2 node", "PTV 60Gy", "1.5 mm", "2 x 2", "first phase", "second echo", "third ventricle", "0.625 mm", "series 3 of 4", "CT1 2D",
		"SE 3D T1", "S1 nerve root", "upper wall", "field map", "Body 4.0 CE", "head 3.0 H31s", "hand ap", "foot oblique", "18 yrs", "50 mm axial", "kidney stone", "small bowel", "MIP 10 mm",
		"posterior wall thickness 9 mm", "max intensity", "star artifact", "ring artifact", "10 year follow up", "MR angiography", "field of view 24", "SN30", "W5 L1",
	} {
		w := &words{}
		if got, lost := w.clean(s); lost {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}

func TestIdentifies(t *testing.T) {
	for s, want := range map[string]bool{
		"chest 943 476 5919": true, "SP1 2QQ": true, "m@n.org": true, "http://x.org": true, "chest": false, "T1 2D": false, "B1000 3D": false, "512 512 24": false, "0.123456 0.5": false,
	} {
		if got := identifies([]byte(s)); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
