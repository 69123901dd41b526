// Command gendict writes the data dictionary of package dicom: dict_generated.go, tags_generated.go, uids_generated.go and private_generated.go.
//
// The facts (tag, VR, VM, keyword, name) come from machine-readable tables that others publish, given as arguments; nothing else of them is kept:
//
//	gendict -out . -edition 2026b \
//	    -dict _dicom_dict.py -dic dicom.dic -names rows.csv \
//	    -uids _uid_dict.py \
//	    -private _private_dict.py -private-dic private.dic -private-rows tags.csv,safe.csv
//
// -dict, -uids and -private are pydicom's tables; -dic and -private-dic are DCMTK's, whose rows fill what the former lack; -names and
// -private-rows are CSV files with a head line (tag, name, vr, or group, element, private creator, vr, vm, meaning). The first source that has a
// row wins. What is written depends on the arguments alone, so that two runs give the same files.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	var (
		out         = flag.String("out", ".", "folder to write to")
		edition     = flag.String("edition", "", "edition of the standard that the newest source states")
		dict        = flag.String("dict", "", "standard elements, pydicom form")
		dic         = flag.String("dic", "", "standard elements, DCMTK form")
		names       = flag.String("names", "", "CSV files of names, separated by commas")
		uids        = flag.String("uids", "", "UIDs, pydicom form")
		uidEdition  = flag.String("uid-edition", "", "edition that the source of UIDs states")
		private     = flag.String("private", "", "private elements, pydicom form")
		privateDic  = flag.String("private-dic", "", "private elements, DCMTK form")
		privateRows = flag.String("private-rows", "", "CSV files of private elements, separated by commas")
	)
	flag.Parse()
	if err := run(*out, *edition, *uidEdition, *dict, *dic, *names, *uids, *private, *privateDic, *privateRows); err != nil {
		fmt.Fprintln(os.Stderr, "gendict:", err)
		os.Exit(1)
	}
}

func run(out, edition, uidEdition, dict, dic, names, uids, private, privateDic, privateRows string) error {
	if edition == "" || uidEdition == "" {
		return fmt.Errorf("the editions have to be stated")
	}
	std := newStandard()
	if err := std.readPydicom(dict); err != nil {
		return err
	}
	for _, f := range list(names) {
		if err := std.readNames(f); err != nil {
			return err
		}
	}
	if err := std.readDCMTK(dic); err != nil {
		return err
	}
	u, err := readUIDs(uids)
	if err != nil {
		return err
	}
	priv := newPrivate()
	if err := priv.readPydicom(private); err != nil {
		return err
	}
	if err := priv.readDCMTK(privateDic); err != nil {
		return err
	}
	for _, f := range list(privateRows) {
		if err := priv.readCSV(f); err != nil {
			return err
		}
	}
	for name, text := range map[string]func() ([]byte, error){
		"dict_generated.go":    func() ([]byte, error) { return std.dictionary(edition) },
		"tags_generated.go":    func() ([]byte, error) { return std.constants(edition) },
		"uids_generated.go":    func() ([]byte, error) { return u.source(uidEdition) },
		"private_generated.go": priv.source,
	} {
		b, err := text()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(out, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
