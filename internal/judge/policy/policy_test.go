package policy

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write docs/policy.md")

// expected is the whole policy once more, written by hand to be read by a lawyer: action, role, and the states in which the role may act on an object of
// its own collection that came with somebody else's deposit. Whatever is not in this table is refused.
const expected = `
search                        researcher  released
search                        physicist   admitted released
search                        steward     received admitted released
read metadata                 researcher  released
read metadata                 physicist   admitted released
read metadata                 steward     received admitted held conflict released restricted
read pixels and bulk data     researcher  released
read pixels and bulk data     physicist   admitted released
read pixels and bulk data     steward     received admitted held conflict released restricted
see the fate of own deposits  steward     received admitted held conflict released restricted
see what is held and why      steward     held conflict restricted
see what is held and why      operator    held conflict restricted
decide on what is held        steward     held conflict restricted
publish a release             steward     admitted
publish a release             operator    admitted
pick a picture for the public steward     released
see clinical facts            researcher  released
see clinical facts            steward     received admitted released
C-FIND                        peer that may find   released
C-MOVE                        peer that may move   released
C-GET                         peer that may get    released
forward                       peer that is sent what is released released
forward                       peer that is sent what is admitted admitted released
`

// expectedOwn is what comes on top where the object came with the caller's own deposit.
const expectedOwn = `
see the fate of own deposits  depositor   received admitted held conflict released restricted
see what is held and why      depositor   held conflict restricted
`

// expectedPlain is for actions that concern no object: one collection, or the node as a whole.
const expectedPlain = `
echo                  anonymous depositor researcher physicist custodian committee funder steward admin gateway site-gateway operator peers  collection node
see the directory     anonymous depositor researcher physicist custodian committee funder steward admin gateway site-gateway operator peers  collection node
deposit by a link     link                                       collection
deposit               depositor steward                          collection
manage links for people outside  steward admin operator          collection
see whom a link is for  steward                                  collection
manage pulls          steward admin operator                     collection
see intake counts     depositor physicist custodian steward admin operator  collection
create a collection   steward admin operator                     collection node
manage a collection   steward admin operator                     collection node
manage tokens         admin operator                             collection node
manage peers          admin operator                             collection node
manage users          admin operator                             collection node
read the audit log    custodian steward admin operator           collection node
verify                admin operator                             collection node
back up                admin operator                             collection node
import clinical rows  depositor steward operator                 collection
record consent        depositor steward operator                 collection
record a withdrawal   depositor steward operator                 collection
see consent           custodian steward operator                 collection
manage legal bases    custodian steward operator                 collection
make releases         custodian steward operator                 collection
see recalls            custodian steward admin                    collection
answer a recall        anonymous depositor researcher physicist custodian committee funder steward admin gateway site-gateway operator peers  collection node
waive a recall         custodian steward                          collection
erase before the hold is over  steward operator                  collection
edit a directory entry    custodian steward admin operator       collection node
publish a directory entry custodian steward admin operator       collection node
publish counts        admin operator                             collection node
ask a question        anonymous depositor researcher physicist custodian committee funder steward admin gateway site-gateway operator peers  collection node
answer questions on the node admin                               collection node
answer questions      steward                                    collection
see the status        steward admin operator                     collection node
change the master key operator                                   collection node
ask who a subject is  steward                                    collection
decide on who asks    steward admin                              collection
see who a subject is  steward                                    collection
hand in what was cleaned elsewhere  gateway site-gateway         collection
see what a gateway cleans by        gateway site-gateway         collection
take a collection's secret          gateway                      collection
take back what was cleaned elsewhere gateway site-gateway        collection
ask for access to data anonymous depositor researcher physicist custodian committee funder steward admin gateway site-gateway operator peers  collection node
see requests for access        custodian steward admin           collection
decide on requests for access  custodian                         collection
check agreements               custodian                         collection
suspend or revoke an entitlement  custodian steward admin        collection
confirm who people are         custodian steward admin operator  collection
C-STORE               store                                      collection
`

// proven is an association that shows all there is to show.
var proven = Link{Address: true, Certificate: true}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

func has(table string, a Action, r Role, st State) bool {
	for _, l := range lines(table) {
		rest, ok := strings.CutPrefix(l, a.String())
		if !ok {
			continue
		}
		rest, ok = strings.CutPrefix(strings.TrimSpace(rest), r.String()+" ")
		if ok && slices.Contains(strings.Fields(rest), st.String()) {
			return true
		}
	}
	return false
}

// What a steward has picked for everybody is seen by everybody while it is released, in whatever collection; this is the one action on objects that takes no grant.
func TestPickedPictures(t *testing.T) {
	for _, role := range Roles() {
		for _, grant := range []string{"breast", "lung", AllCollections} {
			for _, st := range States() {
				f := Facts{Grants: []Grant{{role, grant}}, Action: SeeMontage, Collection: "breast", State: st}
				if got := Decide(f); got.Allow != (st == Released) || got.Allow && !slices.Contains(got.Terms, TermNoStore) {
					t.Errorf("%v of %v, %v: %+v", role, grant, st, got)
				}
				f.Collection = ""
				if Decide(f).Allow {
					t.Errorf("%v, %v: a picture of no collection", role, st)
				}
			}
		}
	}
	if Decide(Facts{Action: SeeMontage, Collection: "breast"}).Allow {
		t.Error("a picture of no object")
	}
	if s := Scopes([]Grant{{Steward, AllCollections}}, SeeMontage, Link{}); len(s) != 0 {
		t.Error("pictures that were picked are searched for: ", s)
	}
}

func TestEveryRoleActionAndState(t *testing.T) {
	for _, role := range Roles() {
		for _, a := range Actions() {
			if !a.OnObjects() || a == SeeMontage {
				continue
			}
			for _, st := range States() {
				for _, own := range []bool{false, true} {
					f := Facts{Grants: []Grant{{role, "breast"}}, Action: a, Collection: "breast", State: st, Own: own, Link: proven}
					want := has(expected, a, role, st) || own && has(expectedOwn, a, role, st)
					got := Decide(f)
					if got.Allow != want {
						t.Errorf("%v, %v, %v, own %v: allowed %v, want %v: %v", role, a, st, own, got.Allow, want, got.Reasons)
					}
					if len(got.Reasons) == 0 {
						t.Errorf("%v, %v, %v: no reason", role, a, st)
					}
					if got.Allow && (a == ReadMetadata || a == ReadPixels) && !slices.Contains(got.Terms, TermNoStore) {
						t.Errorf("%v, %v, %v: images may be kept by caches: %v", role, a, st, got.Terms)
					}
					f.Collection = "lung"
					if d := Decide(f); d.Allow {
						t.Errorf("%v, %v, %v: a grant for one collection reaches another", role, a, st)
					}
					f.Grants[0].Collection = AllCollections
					if d := Decide(f); d.Allow != want {
						t.Errorf("%v, %v, %v, own %v: with a grant for all collections allowed %v, want %v", role, a, st, own, d.Allow, want)
					}
					f.Collection = ""
					if d := Decide(f); d.Allow {
						t.Errorf("%v, %v, %v: an object of no collection", role, a, st)
					}
				}
			}
		}
	}
}

func TestActionsThatConcernNoObject(t *testing.T) {
	for _, role := range Roles() {
		for _, a := range Actions() {
			if a.OnObjects() {
				continue
			}
			var row []string
			for _, l := range lines(expectedPlain) {
				if rest, ok := strings.CutPrefix(l, a.String()+" "); ok {
					row = strings.Fields(rest)
				}
			}
			if row == nil {
				t.Fatalf("%v is not in the table", a)
			}
			name := role.String()
			if n, ok := strings.CutPrefix(name, "peer that may "); ok {
				name = n
			}
			if role == LinkHolder {
				name = "link"
			}
			may := slices.Contains(row, name) || role >= PeerStore && slices.Contains(row, "peers")
			for _, c := range []struct {
				grant, concerns string
				want            bool
			}{
				{"breast", "breast", may},
				{"breast", "lung", may && slices.Contains(row, "anonymous")},
				{"breast", "", may && slices.Contains(row, "anonymous")},
				{AllCollections, "lung", may},
				{AllCollections, "", may && slices.Contains(row, "node")},
				{"", "", may && slices.Contains(row, "anonymous")},
			} {
				d := Decide(Facts{Grants: []Grant{{role, c.grant}}, Action: a, Collection: c.concerns, Link: proven, Person: true, Own: a == SeeIdentity || a == AnswerRecall, Consented: true})
				if d.Allow != c.want {
					t.Errorf("%v for %q, %v on %q: allowed %v, want %v: %v", role, c.grant, a, c.concerns, d.Allow, c.want, d.Reasons)
				}
			}
		}
	}
}

// Who a subject is takes two people who have signed in: whoever asks sees, and somebody else has consented. Neither a token nor a command takes part.
func TestTwoPeople(t *testing.T) {
	for _, role := range Roles() {
		for _, person := range []bool{false, true} {
			for _, own := range []bool{false, true} {
				for _, consented := range []bool{false, true} {
					for a, want := range map[Action]bool{
						AskIdentity:    role == Steward && person,
						DecideIdentity: (role == Steward || role == Admin) && person && !own,
						SeeIdentity:    role == Steward && person && own && consented,
					} {
						d := Decide(Facts{Grants: []Grant{{role, "breast"}}, Action: a, Collection: "breast", Person: person, Own: own, Consented: consented})
						if d.Allow != want {
							t.Errorf("%v, %v, in person %v, own %v, consented %v: allowed %v: %v", role, a, person, own, consented, d.Allow, d.Reasons)
						}
						if d.Allow && (!slices.Contains(d.Terms, TermNoStore) || !slices.Contains(d.Terms, TermAuditEach)) {
							t.Errorf("%v: %v", a, d.Terms)
						}
						if Decide(Facts{Grants: []Grant{{role, "lung"}}, Action: a, Collection: "breast", Person: true, Own: a == SeeIdentity, Consented: true}).Allow {
							t.Errorf("%v: by a grant for another collection", a)
						}
					}
				}
			}
		}
	}
}

// Whether somebody may use data is decided by a custodian who has signed in, and never by who asks; whoever has signed in may ask.
func TestNobodyDecidesOnTheirOwn(t *testing.T) {
	for _, role := range Roles() {
		for _, person := range []bool{false, true} {
			for _, own := range []bool{false, true} {
				for a, want := range map[Action]bool{
					ApplyForAccess: person,
					DecideRequest:  role == Custodian && person && !own,
					CheckAgreement: role == Custodian && person && !own,
					EndEntitlement: role == Custodian || role == Steward || role == Admin,
					ConfirmPerson:  (role == Custodian || role == Steward || role == Admin || role == Operator) && !own,
					SeeRecalls:     role == Custodian || role == Steward || role == Admin,
					AnswerRecall:   person && own,
					WaiveRecall:    (role == Custodian || role == Steward) && person && !own,
				} {
					if d := Decide(Facts{Grants: []Grant{{role, "breast"}}, Action: a, Collection: "breast", Person: person, Own: own}); d.Allow != want {
						t.Errorf("%v, %v, in person %v, own %v: allowed %v: %v", role, a, person, own, d.Allow, d.Reasons)
					}
				}
			}
		}
	}
}

func TestAssociations(t *testing.T) {
	store := []Grant{{PeerStore, "breast"}}
	find := []Grant{{PeerFind, "breast"}}
	for _, c := range []struct {
		name   string
		grants []Grant
		action Action
		link   Link
		want   bool
	}{
		{"known address", store, StoreAsPeer, Link{Address: true}, true},
		{"this machine", store, StoreAsPeer, Link{Loopback: true}, true},
		{"another address", store, StoreAsPeer, Link{Certificate: true}, false},
		{"unknown AE", nil, StoreAsPeer, Link{Loopback: true}, false},
		{"unknown AE, demo", nil, StoreAsPeer, Link{Loopback: true, Demo: true}, true},
		{"unknown AE, demo, elsewhere", nil, StoreAsPeer, Link{Demo: true}, false},
		{"find with address alone", find, FindAsPeer, Link{Address: true}, false},
		{"find with certificate alone", find, FindAsPeer, Link{Certificate: true}, false},
		{"find with both", find, FindAsPeer, proven, true},
		{"find on this machine", find, FindAsPeer, Link{Loopback: true}, true},
		{"find in a demo, unknown", nil, FindAsPeer, Link{Loopback: true, Demo: true}, false},
		{"find is not get", find, GetAsPeer, proven, false},
	} {
		f := Facts{Grants: c.grants, Action: c.action, Collection: "breast", Link: c.link}
		if c.action.OnObjects() {
			f.State = Released
		}
		if d := Decide(f); d.Allow != c.want {
			t.Errorf("%s: allowed %v, want %v: %v", c.name, d.Allow, c.want, d.Reasons)
		}
	}
}

func TestFactsThatDoNotFit(t *testing.T) {
	all := []Grant{{Steward, AllCollections}, {Admin, AllCollections}, {Operator, AllCollections}}
	for _, f := range []Facts{
		{Grants: all, Action: ReadPixels, Collection: "breast"},
		{Grants: all, Action: ManageTokens, State: Released},
		{Grants: all, Action: actionCount, Collection: "breast"},
		{Grants: all, Action: ReadPixels, Collection: "breast", State: 77},
		{Grants: []Grant{{roleCount, "breast"}}, Action: ReadPixels, Collection: "breast", State: Released},
	} {
		if d := Decide(f); d.Allow {
			t.Errorf("%+v is permitted", f)
		}
	}
}

func drawFacts(t *rapid.T) Facts {
	collections := []string{"breast", "lung", AllCollections}
	f := Facts{
		Action:     Action(rapid.IntRange(0, int(actionCount)).Draw(t, "action")),
		Collection: rapid.SampledFrom([]string{"breast", "lung", ""}).Draw(t, "collection"),
		Own:        rapid.Bool().Draw(t, "own"),
		Link:       Link{rapid.Bool().Draw(t, "loopback"), rapid.Bool().Draw(t, "address"), rapid.Bool().Draw(t, "certificate"), rapid.Bool().Draw(t, "demo")},
	}
	if f.Action.OnObjects() || rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
		f.State = State(rapid.IntRange(0, 7).Draw(t, "state"))
	}
	for range rapid.IntRange(0, 5).Draw(t, "grants") {
		f.Grants = append(f.Grants, Grant{Role(rapid.IntRange(0, int(roleCount)).Draw(t, "role")), rapid.SampledFrom(collections).Draw(t, "where")})
	}
	return f
}

func TestTakingAGrantAwayNeverPermitsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		with := Decide(f).Allow
		for i := range f.Grants {
			less := f
			less.Grants = slices.Delete(slices.Clone(f.Grants), i, i+1)
			if Decide(less).Allow && !with {
				t.Fatalf("without %v, more is permitted: %+v", f.Grants[i], f)
			}
		}
		switch {
		case f.Own && slices.Contains([]Action{WaiveRecall, DecideIdentity, DecideRequest, CheckAgreement, ConfirmPerson}, f.Action):
			if with {
				t.Fatalf("somebody decides on what is their own: %+v", f)
			}
		case f.Own:
			less := f
			less.Own = false
			if Decide(less).Allow && !with {
				t.Fatalf("on others' deposits more is permitted: %+v", f)
			}
		}
		if f.State == Withdrawn && with && f.Action.OnObjects() {
			t.Fatalf("withdrawn is seen: %+v", f)
		}
	})
}

func TestScopesSayWhatDecideSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		f.Own = false
		if f.Action == SeeMontage {
			return // of everybody: see TestPickedPictures
		}
		if !f.Action.OnObjects() {
			if len(Scopes(f.Grants, f.Action, f.Link)) != 0 {
				t.Fatalf("%v has a scope", f.Action)
			}
			return
		}
		scopes := Scopes(f.Grants, f.Action, f.Link)
		for _, c := range []string{"breast", "lung", "brain"} {
			for _, st := range States() {
				f.Collection, f.State = c, st
				in := slices.ContainsFunc(scopes, func(s Scope) bool {
					return (s.Collection == c || s.Collection == AllCollections) && slices.Contains(s.States, st)
				})
				if want := Decide(f).Allow; in != want {
					t.Fatalf("%v in %v %v: in scope %v, decided %v", f.Action, c, st, in, want)
				}
			}
		}
	})
}

// Whoever holds a link gives, and does nothing else that not everybody may.
func TestALinkIsWriteOnly(t *testing.T) {
	for _, a := range Actions() {
		for _, st := range append(States(), NoState) {
			f := Facts{Grants: []Grant{{LinkHolder, "breast"}}, Action: a, Collection: "breast", State: st, Own: true, Person: true, Consented: true, Link: proven}
			with := Decide(f).Allow
			f.Grants = nil
			if without := Decide(f).Allow; with != without && a != DepositByLink {
				t.Errorf("by a link one may %v, %v", a, st)
			}
		}
		if s := Scopes([]Grant{{LinkHolder, "breast"}}, a, proven); len(s) != 0 {
			t.Errorf("by a link one may search to %v: %v", a, s)
		}
	}
	if _, ok := ParseRole(LinkHolder.String()); ok {
		t.Error("a token can be given the role of a link")
	}
}

func TestNames(t *testing.T) {
	for _, r := range Roles() {
		got, ok := ParseRole(r.String())
		if token := r >= Depositor && r <= Admin; ok != token || ok && got != r {
			t.Errorf("ParseRole(%q) = %v, %v", r, got, ok)
		}
		got, ok = ParseTokenRole(r.String())
		if token := r >= Depositor && r <= SiteGateway; ok != token || ok && got != r {
			t.Errorf("ParseTokenRole(%q) = %v, %v", r, got, ok)
		}
	}
	for _, s := range States() {
		if got, ok := ParseState(s.String()); !ok || got != s {
			t.Errorf("ParseState(%q) = %v, %v", s, got, ok)
		}
	}
	if _, ok := ParseState("-"); ok {
		t.Error("no state is parsed")
	}
}

func TestTheDocumentIsCurrent(t *testing.T) {
	const head = "# Policy\n\nWho may do what. Written from the rules in `internal/judge/policy/rules.go` by `go test ./internal/judge/policy -update`; a test compares the two.\n" +
		"What is not written here is refused. What is withdrawn is seen by nobody. Being an administrator shows no image. Everybody may do what anonymous may.\n\n"
	path := filepath.Join("..", "..", "..", "docs", "policy.md")
	want := head + Table()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/policy.md is not what the rules say: run go test ./internal/judge/policy -update")
	}
}
