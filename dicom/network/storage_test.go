package network

import "testing"

func TestStorageClasses(t *testing.T) {
	all := StorageClasses()
	if len(all) < 150 {
		t.Fatalf("%d storage SOP classes", len(all))
	}
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.UID] || !validUID(c.UID) || c.Name == "" || isPrivateUID(c.UID) {
			t.Errorf("%+v", c)
		}
		seen[c.UID] = true
	}
	for uid, want := range map[string]StorageClass{
		ctImage:                            {Name: "CT Image Storage"},
		"1.2.840.10008.5.1.4.1.1.77.1.6":   {Name: "VL Whole Slide Microscopy Image Storage"},
		"1.2.840.10008.5.1.4.1.1.66.4":     {Name: "Segmentation Storage"},
		"1.2.840.10008.5.1.4.1.1.91.1":     {Name: "Microscopy Bulk Simple Annotations Storage"},
		"1.2.840.10008.5.1.4.1.1.481.3":    {Name: "RT Structure Set Storage"},
		"1.2.840.10008.5.1.4.1.1.3":        {Name: "Ultrasound Multi-frame Image Storage", Retired: true},
		"1.2.840.10008.5.1.4.1.1.66":       {Name: "Raw Data Storage"},
		"1.2.840.10008.5.1.4.1.1.9.1.1":    {Name: "12-lead ECG Waveform Storage"},
		"1.2.840.10008.5.1.4.38.1":         {Name: "Hanging Protocol Storage"},
		"1.2.840.10008.5.1.4.1.1.200.7":    {Name: "XA Defined Procedure Protocol Storage"},
		"1.2.840.10008.5.1.4.1.1.88.22":    {Name: "Enhanced SR Storage"},
		"1.2.840.10008.5.1.4.1.1.104.1":    {Name: "Encapsulated PDF Storage"},
		"1.2.840.10008.5.1.4.1.1.77.1.5.1": {Name: "Ophthalmic Photography 8 Bit Image Storage"},
	} {
		got, ok := LookupStorageClass(uid)
		if !ok || got.Name != want.Name || got.Retired != want.Retired {
			t.Errorf("%s: %+v, %v", uid, got, ok)
		}
	}
	for _, uid := range []string{VerificationUID, "1.2.840.10008.1.20.1", "1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.1.2.2.1", "", "1.2.3"} {
		if _, ok := LookupStorageClass(uid); ok {
			t.Errorf("%s is taken for storage", uid)
		}
	}
}
