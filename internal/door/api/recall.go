package api

import (
	"github.com/vitrine-imaging/vitrine/internal/flow/recall"
	record "github.com/vitrine-imaging/vitrine/internal/record/recall"
)

// recallRoutes are those by which copies are called back. Who answers is the person who was given them, signed in: policy keeps tokens out.
func (d *Door) recallRoutes() []route {
	return []route{
		{method: "GET", path: "/api/recalls", name: "listRecalls", text: "Recalls to the caller, and those of collections whose recalls they see: what is owed first.", gives: "RecallNotice", list: true, query: []string{"limit", "from"}, do: d.recalls},
		{method: "GET", path: "/api/recalls/mine", name: "getTombstones", text: "Every object that was called back from the caller, by DRS identifier and leaf of its manifest, signed: for their programs (docs/formats/recall.md).", gives: "SignedDocument", do: d.tombstones},
		{method: "GET", path: "/api/recalls/{recall}", name: "getRecall", text: "One recall with what happened to it.", gives: "RecallNotice", do: d.recall},
		{method: "GET", path: "/api/recalls/{recall}/objects", name: "listRecalledObjects", text: "The objects of a recall: for who was given them.", gives: "RecalledObject", list: true, do: d.recalledObjects},
		{method: "GET", path: "/api/recalls/{recall}/attestation", name: "getAttestation", text: "The last attestation as the node signed it, for both sides.", gives: "SignedDocument", do: d.recallAttestation},
		{method: "POST", path: "/api/recalls/{recall}/acts", name: "actOnRecall", text: "Acknowledge or attest, as who was given the copies; waive, or permit use again, as who answers for the collection.", takes: "RecallAct", gives: "RecallNotice", do: d.actOnRecall},
	}
}

func (d *Door) recalls(r *request) (any, error) {
	limit, from, err := r.page()
	if err != nil {
		return nil, err
	}
	all, err := d.Recalls.List(r.Context(), r.who, limit, from)
	if err != nil || from > 0 {
		return all, err
	}
	mine, err := d.Recalls.Mine(r.Context(), r.who)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, v := range all {
		seen[v.ID] = true
	}
	for _, v := range mine {
		if !seen[v.ID] {
			all = append(all, v)
		}
	}
	return all, nil
}

func (d *Door) tombstones(r *request) (any, error) { return d.Recalls.Tombstones(r.Context(), r.who) }

func (d *Door) recall(r *request) (any, error) {
	id, err := record.ParseID(r.PathValue("recall"))
	if err != nil {
		return nil, err
	}
	return d.Recalls.Recall(r.Context(), r.who, id)
}

func (d *Door) recalledObjects(r *request) (any, error) {
	id, err := record.ParseID(r.PathValue("recall"))
	if err != nil {
		return nil, err
	}
	all, err := d.Recalls.Objects(r.Context(), r.who, id)
	if all == nil {
		all = []recall.Object{}
	}
	return all, err
}

func (d *Door) recallAttestation(r *request) (any, error) {
	id, err := record.ParseID(r.PathValue("recall"))
	if err != nil {
		return nil, err
	}
	return d.Recalls.Attested(r.Context(), r.who, id)
}

func (d *Door) actOnRecall(r *request) (any, error) {
	id, err := record.ParseID(r.PathValue("recall"))
	if err != nil {
		return nil, err
	}
	var a recall.Act
	if err := r.bodyOf(&a, 4*maxBody); err != nil {
		return nil, err
	}
	return d.Recalls.Act(r.Context(), r.who, id, a)
}
