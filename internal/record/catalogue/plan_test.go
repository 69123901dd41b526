package catalogue

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// explain is how the engine goes about a statement.
func (f *fixture) explain(text string, args []any) string {
	f.Helper()
	var b strings.Builder
	err := f.d.Snapshot(f.Context(), func(tx *db.Tx) error {
		prefix := `EXPLAIN QUERY PLAN `
		if f.d.Engine() == db.PostgreSQL {
			prefix = `EXPLAIN `
			// The tables of a test are small, and a small table is scanned, with reason. What is asked here is whether an index could serve.
			if _, err := tx.Exec(`SET LOCAL enable_seqscan = off`); err != nil {
				return err
			}
		}
		return forRows(tx.Query, prefix+text, args, func(rows *sql.Rows) error {
			var id, parent, unused int64
			var line string
			var err error
			if f.d.Engine() == db.PostgreSQL {
				err = rows.Scan(&line)
			} else {
				err = rows.Scan(&id, &parent, &unused, &line)
			}
			b.WriteString(line + "\n")
			return err
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	return b.String()
}

// Each search begins at an index, and reads no table from end to end.
func TestSearchesGoAlongAnIndex(t *testing.T) {
	each(t, func(f *fixture) {
		fillCatalogue(t, f.d, f.r, 2000, 500)
		releaseAll(t, f.d)
		// sqlite's and PostgreSQL's names of the index, where they differ
		const uidStudy, uidSeries, uidInstance = "sqlite_autoindex_study_1|study_uid_collection_key", "sqlite_autoindex_series_1|series_uid_study_key", "sqlite_autoindex_instance_1|instance_uid_collection_variant_key"
		for _, c := range []struct {
			level      Level
			conditions string
			index      string
		}{
			{Studies, "StudyInstanceUID|1.2", uidStudy},
			{Studies, "StudyInstanceUID|1.2,1.3|PatientID|A|StudyDate|20200101-", uidStudy},
			{Studies, "PatientID|VX1", "study_of_patient"},
			{Studies, "PatientID|VX*", "study_of_patient"},
			{Studies, "PatientID|VX1|ModalitiesInStudy|CT|StudyDate|20200101", "study_of_patient"},
			{Studies, "PatientName|vx*", "study_of_name"},
			{Studies, "AccessionNumber|A", "study_of_accession"},
			{Studies, "StudyDate|20200101", "study_of_date"},
			{Studies, "StudyDate|20200101-20201231", "study_of_date"},
			{Studies, "StudyDate|20200101-20201231|StudyTime|10-11", "study_of_date"},
			{Studies, "ModalitiesInStudy|CT", "study_part_value"},
			{Studies, "ModalitiesInStudy|CT|StudyDate|20200101-20201231", "study_part_value"},
			{Studies, "ModalitiesInStudy|SM,XC", "study_part_value"},
			{Series, "SeriesInstanceUID|1.2", uidSeries},
			{Series, "StudyInstanceUID|1.2", uidStudy},
			{Series, "PatientID|VX1", "study_of_patient"},
			{Series, "Modality|MR", "series_of_modality"},
			{Series, "00400275.00401001|P", "series_request_requested"},
			{Instances, "SOPInstanceUID|1.2", uidInstance},
			{Instances, "SeriesInstanceUID|1.2", uidSeries},
			{Instances, "StudyInstanceUID|1.2", uidStudy},
			{Instances, "PatientID|VX1", "study_of_patient"},
			{Instances, "SOPClassUID|1.2.840.10008.5.1.4.1.1.2", "study_part_value"},
		} {
			for _, narrow := range []bool{false, true} {
				q := f.query(c.level, see(released), strings.Split(c.conditions, "|")...)
				q.Limit = 100
				if narrow {
					q.Collection = "breast"
				}
				p, _ := q.plan(f.d.Engine())
				text, args := p.statement("1")
				f.along(fmt.Sprintf("level %d, %s, in one collection %v", c.level, c.conditions, narrow), text, args, c.index)
			}
		}
		// The statements of other questions.
		for text, index := range map[string]string{
			`SELECT id FROM instance i WHERE i.uid = ?`:                                                           uidInstance,
			`SELECT id FROM instance i WHERE i.collection = ? AND i.state IN (3, 4) AND i.id > 5`:                 "instance_waiting",
			`SELECT id FROM instance i WHERE i.layout = ? AND i.layout <> '' AND i.state IN (3, 4) ORDER BY i.id`: "instance_layout",
			`SELECT id FROM instance i WHERE i.kind = ? AND i.kind <> '' AND i.state IN (3, 4) ORDER BY i.id`:     "instance_kind",
			`SELECT id FROM instance i WHERE i.subject = ?`:                                                       "instance_of_subject",
			`SELECT id FROM study s WHERE s.received > 0 AND s.touched <= ? ORDER BY s.touched, s.id`:             "study_due",
			`SELECT i.id FROM instance i WHERE i.series = ? AND i.number >= 5 ORDER BY i.number, i.id`:            "instance_of_series",
		} {
			arg := any(int64(1))
			if strings.Contains(text, "uid =") || strings.Contains(text, "collection =") || strings.Contains(text, "layout =") || strings.Contains(text, "kind =") {
				arg = "x"
			}
			f.along(text, text, []any{arg}, index)
		}
	})
}

// along fails unless the plan uses the index and scans nothing.
func (f *fixture) along(what, text string, args []any, index string) {
	f.Helper()
	plan := f.explain(text, args)
	found := false
	for name := range strings.SplitSeq(index, "|") {
		found = found || strings.Contains(plan, name+" ") || strings.Contains(plan, name+"\n")
	}
	scans := strings.Contains(plan, "Seq Scan")
	for line := range strings.Lines(plan) {
		// A SCAN along the index in the order of the answer ends with the page.
		if strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "USING") && !strings.Contains(line, "CONSTANT") {
			scans = true
		}
	}
	if !found || scans {
		f.Errorf("%s\n%s\n%s", what, text, plan)
	}
}

// A search that is cut off by its limit reads no more than the page: it sorts nothing.
func TestLongAnswersAreNotSorted(t *testing.T) {
	each(t, func(f *fixture) {
		if f.d.Engine() != db.SQLite {
			f.Skip("PostgreSQL chooses by its statistics; the benchmark watches it")
		}
		for _, c := range []struct {
			level      Level
			conditions string
		}{{Studies, ""}, {Studies, "StudyDate|20200101-"}, {Studies, "ModalitiesInStudy|CT"}, {Series, ""}, {Series, "Modality|CT"}, {Instances, ""}, {Instances, "Modality|CT"}, {Instances, "SOPClassUID|1.2"}} {
			for _, narrow := range []collection.ID{"", "breast"} {
				var conditions []string
				if c.conditions != "" {
					conditions = strings.Split(c.conditions, "|")
				}
				q := f.query(c.level, see(released), conditions...)
				q.Collection = narrow
				p, _ := q.plan(f.d.Engine())
				text, args := p.statement("1")
				if plan := f.explain(text, args); strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") {
					f.Errorf("level %d, %s, in %q sorts:\n%s\n%s", c.level, c.conditions, narrow, text, plan)
				}
			}
		}
	})
}

// A page of a range of dates is read in the order of the dates, also within one collection: nothing is gathered and sorted first, which would take as long as the range is wide.
func TestDatesAreReadInTheirOrder(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		var entries []Entry
		for i := range 3000 {
			entries = append(entries, synthetic(50*i, id))
		}
		f.add(entries...)
		releaseAll(t, f.d)
		for _, narrow := range []collection.ID{"", "breast"} {
			q := f.query(Studies, see(released), "StudyDate", "20180101-20181231")
			q.Collection, q.Limit = narrow, 10
			p, _ := q.plan(f.d.Engine())
			text, args := p.statement(studyColumns)
			if plan := f.explain(text, args); strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("in one collection: %v\n%s\n%s", narrow != "", text, plan)
			}
		}
	})
}
