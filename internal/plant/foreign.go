package plant

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// foreign are files of slide scanners that are no DICOM. A tool for DICOM need not clean them, but must not pass them on either.
func foreign(p *person, names *namer) []*File {
	if p.n%5 != 0 {
		return nil
	}
	var out []*File
	add := func(kind, name string, b []byte, items ...Item) {
		out = append(out, &File{Kind: kind, Subject: p.n, Name: fmt.Sprintf("slides-%02d/%s", p.n, name), Bytes: b, Planted: items, Exempt: "no DICOM"})
	}
	item := func(site string) Item { return Item{Site: site, Text: names.next()} }

	title, user, label, orphan := item("L73"), item("L73"), item("L70"), item("L72")
	add("Aperio", "a.svs", tiff([]string{
		"Aperio Image Library v12\r\n480x480|AppMag = 20|Filename = 1|Title = " + title.Text + "|User = " + user.Text,
		"Aperio Image Library v12\r\nlabel 100x100|Title = " + label.Text,
	}, orphan.Text), title, user, label, orphan)

	slide, project := item("L75"), item("L75")
	add("MIRAX", "Slidedat.ini", fmt.Appendf(nil, "[GENERAL]\r\nSLIDE_VERSION = 01.02\r\nSLIDE_NAME = %s\r\nPROJECT_NAME = %s\r\nSLIDE_CREATIONDATETIME = 12/03/2019 14:32:07\r\n", slide.Text, project.Text), slide, project)

	operator, barcode := item("L76"), item("L76")
	add("Philips", "a.xml", fmt.Appendf(nil, `<DataObject ObjectType="DPUfsImport"><Attribute Name="PIM_DP_UFS_BARCODE">%s</Attribute><Attribute Name="DICOM_OPERATORS_NAME">%s</Attribute></DataObject>`,
		base64.StdEncoding.EncodeToString([]byte(barcode.Text)), operator.Text), operator, barcode)
	return out
}

// tiff is a little-endian TIFF of 8 x 8 pixels in each directory with its description, and bytes that no directory points to.
func tiff(descriptions []string, orphan string) []byte {
	le := binary.LittleEndian
	out := append([]byte("II*\x00"), 0, 0, 0, 0)
	out = append(out, orphan...)
	link := 4
	for _, d := range descriptions {
		pixels := len(out)
		out = append(out, make([]byte, 64)...)
		text := len(out)
		out = append(append(out, d...), 0)
		if len(out)%2 == 1 {
			out = append(out, 0)
		}
		le.PutUint32(out[link:], uint32(len(out)))
		entries := [][4]int{{256, 3, 1, 8}, {257, 3, 1, 8}, {258, 3, 1, 8}, {259, 3, 1, 1}, {262, 3, 1, 1}, {270, 2, len(d) + 1, text}, {273, 4, 1, pixels}, {278, 3, 1, 8}, {279, 4, 1, 64}}
		out = le.AppendUint16(out, uint16(len(entries)))
		for _, e := range entries {
			out = le.AppendUint16(le.AppendUint16(out, uint16(e[0])), uint16(e[1]))
			out = le.AppendUint32(le.AppendUint32(out, uint32(e[2])), uint32(e[3]))
		}
		link = len(out)
		out = le.AppendUint32(out, 0)
	}
	return out
}
