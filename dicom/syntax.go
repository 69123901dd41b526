package dicom

// TransferSyntax says how a data set is encoded (PS3.5 10, PS3.6 A).
type TransferSyntax struct {
	UID          string
	Name         string
	Explicit     bool // explicit VR
	BigEndian    bool // retired explicit VR big endian
	Deflated     bool // the whole data set is deflated (PS3.5 A.5)
	Encapsulated bool // pixel data is a sequence of fragments (PS3.5 A.4)
}

// Transfer syntaxes named in code.
const (
	ImplicitVRLittleEndianUID         = "1.2.840.10008.1.2"
	ExplicitVRLittleEndianUID         = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndianUID = "1.2.840.10008.1.2.1.99"
	ExplicitVRBigEndianUID            = "1.2.840.10008.1.2.2"
)

// The four that do not encapsulate pixels.
var (
	ImplicitVRLittleEndian         = &TransferSyntax{UID: ImplicitVRLittleEndianUID, Name: "Implicit VR Little Endian"}
	ExplicitVRLittleEndian         = &TransferSyntax{UID: ExplicitVRLittleEndianUID, Name: "Explicit VR Little Endian", Explicit: true}
	DeflatedExplicitVRLittleEndian = &TransferSyntax{UID: DeflatedExplicitVRLittleEndianUID, Name: "Deflated Explicit VR Little Endian", Explicit: true, Deflated: true}
	ExplicitVRBigEndian            = &TransferSyntax{UID: ExplicitVRBigEndianUID, Name: "Explicit VR Big Endian", Explicit: true, BigEndian: true}
)

var transferSyntaxes = func() map[string]*TransferSyntax {
	m := map[string]*TransferSyntax{}
	for _, ts := range []*TransferSyntax{ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian} {
		m[ts.UID] = ts
	}
	for _, uid := range []string{
		"1.2.840.10008.1.2.1.98",
		"1.2.840.10008.1.2.4.50",
		"1.2.840.10008.1.2.4.51",
		"1.2.840.10008.1.2.4.52",
		"1.2.840.10008.1.2.4.53",
		"1.2.840.10008.1.2.4.54",
		"1.2.840.10008.1.2.4.55",
		"1.2.840.10008.1.2.4.56",
		"1.2.840.10008.1.2.4.57",
		"1.2.840.10008.1.2.4.58",
		"1.2.840.10008.1.2.4.59",
		"1.2.840.10008.1.2.4.60",
		"1.2.840.10008.1.2.4.61",
		"1.2.840.10008.1.2.4.62",
		"1.2.840.10008.1.2.4.63",
		"1.2.840.10008.1.2.4.64",
		"1.2.840.10008.1.2.4.65",
		"1.2.840.10008.1.2.4.66",
		"1.2.840.10008.1.2.4.70",
		"1.2.840.10008.1.2.4.80",
		"1.2.840.10008.1.2.4.81",
		"1.2.840.10008.1.2.4.90",
		"1.2.840.10008.1.2.4.91",
		"1.2.840.10008.1.2.4.92",
		"1.2.840.10008.1.2.4.93",
		"1.2.840.10008.1.2.4.94",
		"1.2.840.10008.1.2.4.95",
		"1.2.840.10008.1.2.4.100",
		"1.2.840.10008.1.2.4.100.1",
		"1.2.840.10008.1.2.4.101",
		"1.2.840.10008.1.2.4.101.1",
		"1.2.840.10008.1.2.4.102",
		"1.2.840.10008.1.2.4.102.1",
		"1.2.840.10008.1.2.4.103",
		"1.2.840.10008.1.2.4.103.1",
		"1.2.840.10008.1.2.4.104",
		"1.2.840.10008.1.2.4.104.1",
		"1.2.840.10008.1.2.4.105",
		"1.2.840.10008.1.2.4.105.1",
		"1.2.840.10008.1.2.4.106",
		"1.2.840.10008.1.2.4.106.1",
		"1.2.840.10008.1.2.4.107",
		"1.2.840.10008.1.2.4.108",
		"1.2.840.10008.1.2.4.110",
		"1.2.840.10008.1.2.4.111",
		"1.2.840.10008.1.2.4.112",
		"1.2.840.10008.1.2.4.201",
		"1.2.840.10008.1.2.4.202",
		"1.2.840.10008.1.2.4.203",
		"1.2.840.10008.1.2.4.204",
		"1.2.840.10008.1.2.4.205",
		"1.2.840.10008.1.2.5",
		"1.2.840.10008.1.2.8.1",
	} {
		name, _ := UIDName(uid)
		ts := &TransferSyntax{UID: uid, Name: name, Explicit: true, Encapsulated: true}
		switch uid {
		case "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.204": // JPIP: pixels are a URL, nothing is encapsulated (PS3.5 A.6)
			ts.Encapsulated = false
		case "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205":
			ts.Encapsulated, ts.Deflated = false, true
		}
		m[ts.UID] = ts
	}
	return m
}()

// LookupTransferSyntax is the transfer syntax of a UID; false if it is not one this package can read. Padding has to be trimmed before.
func LookupTransferSyntax(uid string) (*TransferSyntax, bool) {
	ts, ok := transferSyntaxes[uid]
	return ts, ok
}

// TransferSyntaxes are all that this package can read, in no order.
func TransferSyntaxes() []*TransferSyntax {
	all := make([]*TransferSyntax, 0, len(transferSyntaxes))
	for _, ts := range transferSyntaxes {
		all = append(all, ts)
	}
	return all
}
