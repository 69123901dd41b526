package describe

import (
	"io"
	"strings"
)

// CroissantType is the media type of a Croissant description.
const CroissantType = `application/ld+json; profile="http://mlcommons.org/croissant/1.1"`

// croissantContext is what the terms of Croissant 1.1 mean (its appendix 1, with those of its sections on provenance and data use).
var croissantContext = func() object {
	c := object{"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
		"rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/", "prov": "http://www.w3.org/ns/prov#", "odrl": odrl,
		"conformsTo": "dct:conformsTo", "data": object{"@id": "cr:data", "@type": "@json"}, "examples": object{"@id": "cr:examples", "@type": "@json"},
		"dataType": object{"@id": "cr:dataType", "@type": "@vocab"}}
	for _, t := range []string{"annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes", "extract", "field", "fileObject",
		"fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "readLines", "recordSet", "references",
		"regex", "repeated", "replace", "samplingRate", "sdVersion", "separator", "source", "subField", "transform", "unArchive", "value"} {
		c[t] = "cr:" + t
	}
	return c
}()

// WriteCroissant writes the release as Croissant 1.1 in JSON-LD: the files that go with it with their digests, the objects as one set of files that the table of
// instances lists, the tables' columns as record sets, splits, and what the data may be used for. A tombstoned release has neither files nor records.
func WriteCroissant(w io.Writer, r *Release) error {
	if err := r.Check(); err != nil {
		return err
	}
	d := r.dataset(20_000)
	d["@context"], d["@type"] = croissantContext, "sc:Dataset"
	d["@id"] = first(r.doi(), r.URL)
	d["conformsTo"] = []string{"http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"}
	d["citeAs"] = r.bibtex()
	d["isLiveDataset"] = false
	d["distribution"] = r.distribution()
	if d["license"] == nil { // needed; what is given under an agreement has no known licence
		l := object{"@type": "CreativeWork", "name": first(r.License.Name, "Terms of use"), "text": first(useText(&r.DataUse), "As agreed.")}
		filled(l, "url", r.Access.Terms)
		d["license"] = l
	}
	filled(d, "recordSet", r.recordSets())
	filled(d, "rai:personalSensitiveInformation", r.Deidentification.Statement)
	filled(d, "rai:dataUseCases", useText(&r.DataUse))
	if p := r.Deidentification; p.Profile != "" {
		a := object{"@type": "prov:Activity", "prov:label": "De-identification by profile " + strings.TrimSpace(p.Profile+" "+p.Version)}
		if !p.At.IsZero() {
			a["prov:endedAtTime"] = stamp(p.At)
		}
		d["prov:wasGeneratedBy"] = a
	}
	if a := r.Collection.address(); a != "" {
		d["prov:wasDerivedFrom"] = ref(a)
	}
	return write(w, d)
}

// distribution is needed, and may be empty.
func (r *Release) distribution() []object {
	out := []object{}
	for _, f := range r.files() {
		o := object{"@type": "cr:FileObject", "@id": fileID(f), "name": f.Path, "encodingFormat": f.Format}
		describeFile(o, f)
		o["contentUrl"] = first(f.URL, f.Path)
		out = append(out, o)
	}
	table, ok := r.file(InstancesCSV, InstancesParquet)
	if !ok {
		return out
	}
	return append(out, object{"@type": "cr:FileSet", "@id": "objects", "name": "objects", "encodingFormat": "application/dicom", "includes": r.images() + "**",
		"description": "The objects of the release, at the paths that the table of instances gives, with their SHA-256.",
		"containedIn": object{"fileObject": ref(fileID(table)), "extract": object{"column": "path"}}})
}

// fileID names a file within the description. Readers of Croissant take no identifier with a space in it, so a path that has more than letters, digits and the usual
// signs goes by what stands for it.
func fileID(f File) string {
	if word(f.Path, "._-/", maxPath) {
		return f.Path
	}
	return local("file", f.Path)[1:]
}

// kinds are the data types of Croissant.
var kinds = map[string]string{"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float", "date": "sc:Date"}

func (r *Release) recordSets() []object {
	var out []object
	instances, ok := r.file(InstancesParquet, InstancesCSV)
	if ok {
		out = append(out, recordSet("instances", "An object of the release a record.", "drs_id", instances, InstanceColumns()))
	}
	if f, ok2 := r.file(SeriesParquet, SeriesCSV); ok2 {
		ok = true
		out = append(out, recordSet("series", "A series of the release a record.", "SeriesInstanceUID", f, SeriesColumns()))
	}
	if !ok {
		return nil
	}
	var data []object
	for _, s := range [][2]string{{SplitTrain, "TrainingSplit"}, {SplitValidation, "ValidationSplit"}, {SplitTest, "TestSplit"}} {
		data = append(data, object{"splits/name": s[0], "splits/url": "cr:" + s[1]})
	}
	return append(out, object{"@type": "cr:RecordSet", "@id": "splits", "name": "splits", "dataType": "cr:Split", "key": ref("splits/name"),
		"description": "The parts of the release. Each person is in one of them.",
		"field": []object{{"@type": "cr:Field", "@id": "splits/name", "name": "splits/name", "dataType": "sc:Text", "description": "Name of the part"},
			{"@type": "cr:Field", "@id": "splits/url", "name": "splits/url", "dataType": "sc:URL", "description": "What it is for"}},
		"data": data})
}

func recordSet(id, about, key string, f File, columns []Column) object {
	var fields []object
	for _, c := range columns {
		o := object{"@type": "cr:Field", "@id": id + "/" + c.Name, "name": id + "/" + c.Name, "description": c.Help, "dataType": kinds[c.Kind],
			"source": object{"fileObject": ref(fileID(f)), "extract": object{"column": c.Name}}}
		if c.Name == "split" {
			o["references"] = object{"field": ref("splits/name")}
		}
		fields = append(fields, o)
	}
	return object{"@type": "cr:RecordSet", "@id": id, "name": id, "description": about, "key": ref(id + "/" + key), "field": fields}
}

// bibtex is the citation that Croissant asks for.
func (r *Release) bibtex() string {
	quoted := func(s string) string { return strings.NewReplacer("{", "", "}", "", "\\", "").Replace(s) }
	var names []string
	for i := range r.Creators {
		if c := &r.Creators[i]; c.organisation() {
			names = append(names, "{"+quoted(c.Name)+"}")
		} else {
			names = append(names, quoted(c.inverted()))
		}
	}
	s := "@misc{" + strings.ReplaceAll(r.Dataset, "-", "_") + "_" + quoted(r.Version) + ",\n  author = {" + strings.Join(names, " and ") + "},\n  title = {" +
		quoted(r.Title) + "},\n  version = {" + r.Version + "},\n  year = {" + r.Issued.UTC().Format("2006") + "},\n  publisher = {" + quoted(r.Publisher.Name) + "},\n"
	if r.doi() != "" {
		s += "  doi = {" + r.DOI + "},\n"
	}
	return s + "  url = {" + first(r.doi(), r.URL) + "}\n}"
}
