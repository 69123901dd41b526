package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// route is one row of the table that routes and description are made from.
type route struct {
	method, path string
	public       bool // anonymous callers too
	name         string
	text         string
	takes, gives string // schemas
	list         bool   // it gives an array of them
	query        []string
	do           func(*request) (any, error)
	file         http.HandlerFunc // in place of do: the answer is a file
	media        string           // of the file; empty: application/dicom
	sends        []string         // media types of a body that is no JSON of the API's own
}

func (d *Door) routes() []route {
	all := []route{
		{method: "GET", path: "/api/collections", public: true, name: "listCollections", text: "The collections of this node. Who has no role in one sees its name alone.", gives: "Collection", list: true, do: d.collections},
		{method: "POST", path: "/api/collections", name: "createCollection", text: "Create a collection. With the profile as-deposited this is the caller's attestation that its data is de-identified already.",
			takes: "NewCollection", gives: "Collection", do: d.createCollection},
		{method: "GET", path: "/api/collections/{collection}", public: true, name: "getCollection", text: "One collection.", gives: "Collection", do: d.collection},
		{method: "PATCH", path: "/api/collections/{collection}", name: "changeCollection",
			text:  "Change a collection's title, AE title, whether it takes deposits, and whether images wait for a person although what was found in their pixels could be painted over. What is not given stays.",
			takes: "CollectionChange", gives: "Collection", do: d.changeCollection},
		{method: "GET", path: "/api/collections/{collection}/intake", name: "getIntake", text: "How many objects came, and where they stand. received is the sum of the others.", gives: "Intake", do: d.intake},
		{method: "GET", path: "/api/collections/{collection}/profiles", name: "listProfiles", text: "The profiles that a collection has and had, the latest first, with the files of its own rules.",
			gives: "Profile", list: true, do: d.profiles},
		{method: "PUT", path: "/api/collections/{collection}/profile", name: "putProfile",
			text:  "Have what comes from now on cleaned by another profile: a YAML file of the collection's own rules, whose tests are run first, or the name of a profile alone. What is there stays as it was cleaned.",
			gives: "Profile", sends: []string{"application/yaml"}, do: d.putProfile},
		{method: "POST", path: "/api/collections/{collection}/releases", name: "publish", text: "Make an admitted study, or every admitted study of the collection, visible to its researchers.",
			takes: "NewRelease", gives: "Published", do: d.publish},
		{method: "GET", path: "/api/deposits", name: "listDeposits", text: "Deposits into a collection, latest first: a depositor's own, a steward's all.", gives: "Deposit", list: true,
			query: []string{"collection", "before", "limit"}, do: d.deposits},
		{method: "GET", path: "/api/deposits/{deposit}", name: "getDeposit", text: "What became of one deposit: counts, and by ordinal what is held or was refused, and why.", gives: "Fate", do: d.deposit},
		{method: "GET", path: "/api/held", name: "listHeld", text: "What is held in a collection, and why, in the order of arrival.", gives: "Item", list: true, query: []string{"collection", "after", "limit"}, do: d.held},
		{method: "GET", path: "/api/held/{instance}", name: "getHeld", text: "One held instance as a DICOM file, for who reviews it. Each reading is in the audit log.", file: d.heldFile},
		{method: "GET", path: "/api/tokens", name: "listTokens", text: "Tokens and SSH keys in force. No secret is kept, so none is shown.", gives: "Token", list: true, do: d.tokens},
		{method: "POST", path: "/api/tokens", name: "createToken", text: "Make a token. Its secret is in this answer alone.", takes: "NewToken", gives: "Token", do: d.createToken},
		{method: "DELETE", path: "/api/tokens/{token}", name: "revokeToken", text: "End a token or an SSH key for good.", do: d.revokeToken},
		{method: "POST", path: "/api/ssh-keys", name: "addSSHKey", text: "Register a depositor's key for SFTP into one collection.", takes: "NewSSHKey", gives: "Token", do: d.addSSHKey},
		{method: "GET", path: "/api/peers", name: "listPeers", text: "The registered DICOM applications.", gives: "Peer", list: true, do: d.peers},
		{method: "POST", path: "/api/peers", name: "addPeer", text: "Register a DICOM application.", takes: "Peer", gives: "Peer", do: d.addPeer},
		{method: "PUT", path: "/api/peers/{aet}/limits", name: "limitPeer", text: "Set what a DICOM application may take of the node at a time; what is left out is the node's own bound.", takes: "PeerLimits", gives: "Peer", do: d.limitPeer},
		{method: "DELETE", path: "/api/peers/{aet}", name: "removePeer", text: "Forget a DICOM application.", do: d.removePeer},
		{method: "GET", path: "/api/forwards", name: "listForwards", text: "What is forwarded to other archives, and how that stands.", gives: "Forward", list: true, do: d.forwards},
		{method: "POST", path: "/api/forwards", name: "addForward", text: "Have a copy of what a collection releases, or admits, sent to a registered DICOM application.", takes: "Forward", gives: "Forward", do: d.addForward},
		{method: "GET", path: "/api/forwards/withdrawn", name: "listWithdrawnCopies", text: "What applications were sent and is out of sight here by now, at most 10,000 instances: whoever keeps them has to be asked to remove it.", gives: "WithdrawnCopy", list: true, do: d.withdrawnCopies},
		{method: "POST", path: "/api/forwards/{collection}/{aet}/told", name: "toldOfWithdrawn", text: "Note that whoever keeps the application has been told of that, at most 10,000 instances at a time; the answer is what was noted.", gives: "WithdrawnCopy", list: true, do: d.toldOfWithdrawn},
		{method: "DELETE", path: "/api/forwards/{collection}/{aet}", name: "endForward", text: "End that. What the application has it keeps.", do: d.endForward},
		{method: "GET", path: "/api/audit", name: "listAudit", text: "Entries of the audit log in order, from a number on, and the length of the log.", gives: "AuditPage", query: []string{"from", "limit", "collection"}, do: d.audit},
	}
	if d.Directory != nil {
		all = append(all, d.directoryRoutes()...)
	}
	if d.Status != nil {
		all = append(all, route{method: "GET", path: "/api/status", name: "getStatus", text: "How the node and each of its parts are, and what to do where one is not well.", gives: "Status", do: d.status},
			route{method: "GET", path: "/api/gateway", name: "getGateway", text: "How what a gateway sends to its node stands: what waits, since when, and why.", gives: "GatewayStatus", do: d.gatewayStatus})
	}
	all = append(all, d.peopleRoutes()...)
	if d.Links != nil {
		all = append(all, d.linkRoutes()...)
	}
	if d.Releases != nil {
		all = append(all, d.datasetRoutes()...)
	}
	if d.Consent != nil {
		all = append(all, d.consentRoutes()...)
	}
	if d.Pulls != nil {
		all = append(all, d.pullRoutes()...)
	}
	if d.Proof != nil {
		all = append(all, d.proofRoutes()...)
	}
	if d.Review != nil {
		all = append(all, d.heldRoutes()...)
	}
	if d.Secret != nil {
		all = append(all, d.gatewayRoutes()...)
	}
	if d.Reidentify != nil {
		all = append(all, d.identityRoutes()...)
	}
	if d.Access != nil {
		all = append(all, d.accessRoutes()...)
	}
	if d.Recalls != nil {
		all = append(all, d.recallRoutes()...)
	}
	if d.Checkpoint != nil {
		all = append(all, route{method: "POST", path: "/api/audit/checkpoints", name: "createCheckpoint",
			text: "Sign the audit log as it is now. Kept elsewhere, the note proves later what the log said today.", gives: "Checkpoint", do: d.checkpoint})
	}
	return all
}

func (d *Door) status(r *request) (any, error) { return d.Status.Report(r.Context(), r.who) }

// What goes in and out, as the command line shows it too.
type (
	newSSHKey struct {
		Collection string `json:"collection"`
		Name       string `json:"name"`
		Key        string `json:"key"`
	}
	depositView struct {
		ID         string           `json:"id"`
		Collection string           `json:"collection"`
		Door       string           `json:"door"`
		Actor      string           `json:"actor"`
		Started    *time.Time       `json:"started,omitempty"`
		Ended      *time.Time       `json:"ended,omitempty"`
		Counts     catalogue.Counts `json:"counts"`
		Duplicates int64            `json:"duplicates"`
		Items      []itemView       `json:"items,omitempty"`
	}
	itemView struct {
		ID      string             `json:"id,omitempty"`
		Deposit string             `json:"deposit"`
		Item    int64              `json:"item"`
		Outcome string             `json:"outcome"`
		Reasons []catalogue.Reason `json:"reasons"`
	}
)

// view shows a collection: to who has a role in it, whole.
func (r *request) view(c collection.Collection) admin.CollectionView {
	if web.Caller(r.who).Knows(string(c.ID)) {
		return admin.ViewCollection(c)
	}
	return admin.CollectionView{ID: string(c.ID), Title: c.Title}
}

func (d *Door) collections(r *request) (any, error) {
	all, err := d.Desk.ListCollections(r.Context(), r.who)
	views := make([]admin.CollectionView, len(all))
	for i, c := range all {
		views[i] = r.view(c)
	}
	return views, err
}

func (d *Door) collection(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	c, err := d.Desk.Collection(r.Context(), r.who, id)
	return r.view(c), err
}

func (d *Door) changeCollection(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v admin.CollectionChange
	if err := r.body(&v); err != nil {
		return nil, err
	}
	s, err := v.Settings()
	if err != nil {
		return nil, err
	}
	if err := d.Desk.ChangeCollection(r.Context(), r.who, id, s); err != nil {
		return nil, err
	}
	return d.collection(r)
}

func (d *Door) createCollection(r *request) (any, error) {
	var v struct {
		ID       string `json:"id"`
		Title    string `json:"title"`
		Profile  string `json:"profile"`
		AETitle  string `json:"aet"`
		Protocol string `json:"protocol"`
		No       bool   `json:"no_reidentification"`
		Person   bool   `json:"no_automatic_acceptance"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(v.ID)
	if err != nil {
		return nil, err
	}
	c := collection.Collection{ID: id, Title: v.Title, Profile: v.Profile, Protocol: v.Protocol, NoReidentification: v.No, NoAutomaticAcceptance: v.Person}
	if v.AETitle != "" {
		if c.AETitle, err = collection.ParseAETitle(v.AETitle); err != nil {
			return nil, err
		}
	}
	c, err = d.Desk.CreateCollection(r.Context(), r.who, c)
	return r.view(c), err
}

func (d *Door) intake(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Desk.Intake(r.Context(), r.who, id)
}

func (d *Door) publish(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Study string `json:"study"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	var study catalogue.StudyUID
	if v.Study != "" {
		if study, err = catalogue.ParseUID[catalogue.StudyUID](v.Study); err != nil {
			return nil, err
		}
	}
	return d.Desk.Publish(r.Context(), r.who, id, study)
}

func viewDeposit(x catalogue.Deposit) depositView {
	return depositView{ID: x.ID.String(), Collection: string(x.Collection), Door: x.Door, Actor: x.Actor, Started: admin.When(x.Started), Ended: admin.When(x.Ended), Counts: x.Counts, Duplicates: x.Counts.Duplicate}
}

func (d *Door) deposits(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	before, err := r.number("before", 0)
	if err != nil {
		return nil, err
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	all, err := d.Delivery.Deposits(r.Context(), r.given, id, catalogue.DepositID(before), limit)
	views := make([]depositView, len(all))
	for i, x := range all {
		views[i] = viewDeposit(x)
	}
	return views, err
}

func (d *Door) deposit(r *request) (any, error) {
	id, err := catalogue.ParseDepositID(r.PathValue("deposit"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "find deposit", "", "there is no such deposit of yours")
	}
	f, err := d.Delivery.Deposit(r.Context(), r.given, id)
	if err != nil {
		return nil, err
	}
	v := viewDeposit(f.Deposit)
	v.Items = viewItems(f.Items)
	return v, nil
}

func viewItems(items []delivery.Item) []itemView {
	views := make([]itemView, len(items))
	for i, x := range items {
		views[i] = itemView{Deposit: x.Deposit.String(), Item: x.Ordinal, Outcome: x.State.String(), Reasons: x.Reasons}
		if x.State == policy.NoState {
			views[i].Outcome = "refused"
		} else {
			views[i].ID = x.ID.String()
		}
	}
	return views
}

func (d *Door) held(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	after, err := r.number("after", 0)
	if err != nil {
		return nil, err
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	items, err := d.Delivery.Held(r.Context(), r.given, id, catalogue.InstanceID(after), limit)
	return viewItems(items), err
}

// heldFile gives a held instance to its reviewer.
func (d *Door) heldFile(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	n, err := strconv.ParseInt(r.PathValue("instance"), 10, 64)
	if err != nil || n <= 0 {
		web.Fail(w, r, fault.New(fault.NotFound, "read what is held", "", "there is no such instance"))
		return
	}
	o, err := d.Delivery.OpenHeld(r.Context(), delivery.Caller(caller), catalogue.InstanceID(n))
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer o.Close()
	h := w.Header()
	h.Set("Content-Type", "application/dicom")
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", "attachment")
	if size, err := o.FileSize(); err == nil && size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if err := o.WriteFile(w); err != nil {
		panic(http.ErrAbortHandler) // what has begun is cut, never short
	}
}

func (d *Door) tokens(r *request) (any, error) {
	tokens, keys, err := d.Desk.Tokens(r.Context(), r.who)
	views := make([]admin.TokenView, 0, len(tokens)+len(keys))
	for _, t := range tokens {
		views = append(views, admin.ViewToken(t))
	}
	for _, k := range keys {
		views = append(views, admin.ViewSSHKey(k))
	}
	return views, err
}

func (d *Door) createToken(r *request) (any, error) {
	var v admin.NewToken
	if err := r.body(&v); err != nil {
		return nil, err
	}
	role, ok := policy.ParseTokenRole(v.Role)
	if !ok {
		return nil, fault.New(fault.Invalid, "create token", "", "there is no such role: depositor, researcher, physicist, custodian, committee, funder, steward, admin, gateway or site-gateway")
	}
	t := identity.Token{Name: v.Name, Role: role, Collection: v.Collection}
	if v.Expires != nil {
		t.Expires = *v.Expires
	}
	var secret *identity.Secret
	if v.Secret != "" {
		s, err := identity.ParseSecret(v.Secret)
		if err != nil {
			return nil, err
		}
		secret = &s
	}
	made, s, err := d.Desk.CreateToken(r.Context(), r.who, t, secret)
	if err != nil {
		return nil, err
	}
	out := admin.ViewToken(made)
	out.Secret = s.Reveal()
	return out, nil
}

func (d *Door) revokeToken(r *request) (any, error) {
	return nil, d.Desk.RevokeToken(r.Context(), r.who, r.PathValue("token"))
}

func (d *Door) addSSHKey(r *request) (any, error) {
	var v newSSHKey
	if err := r.body(&v); err != nil {
		return nil, err
	}
	key, err := identity.ParsePublicKey(v.Key)
	if err != nil {
		return nil, err
	}
	id, err := collection.ParseID(v.Collection)
	if err != nil {
		return nil, err
	}
	made, err := d.Desk.AddSSHKey(r.Context(), r.who, id, v.Name, key)
	return admin.ViewSSHKey(made), err
}

func (d *Door) peers(r *request) (any, error) {
	all, err := d.Desk.Peers(r.Context(), r.who)
	views := make([]admin.PeerView, len(all))
	for i, p := range all {
		views[i] = admin.ViewPeer(p)
	}
	return views, err
}

func (d *Door) addPeer(r *request) (any, error) {
	var v admin.PeerView
	if err := r.body(&v); err != nil {
		return nil, err
	}
	ae, err := collection.ParseAETitle(v.AETitle)
	if err != nil {
		return nil, err
	}
	may, err := identity.ParseMay(v.May)
	if err != nil {
		return nil, err
	}
	p := identity.Peer{AETitle: ae, Host: v.Host, Port: v.Port, May: may, Collection: v.Collection, Limits: identity.PeerLimits(v.PeerLimits)}
	if v.Certificate != "" {
		digest, err := parseDigest(v.Certificate)
		if err != nil {
			return nil, err
		}
		p.Certificate = &digest
	}
	made, err := d.Desk.AddPeer(r.Context(), r.who, p)
	return admin.ViewPeer(made), err
}

func (d *Door) limitPeer(r *request) (any, error) {
	ae, err := collection.ParseAETitle(r.PathValue("aet"))
	if err != nil {
		return nil, err
	}
	var v admin.PeerLimits
	if err := r.body(&v); err != nil {
		return nil, err
	}
	p, err := d.Desk.LimitPeer(r.Context(), r.who, ae, identity.PeerLimits(v))
	return admin.ViewPeer(p), err
}

func (d *Door) removePeer(r *request) (any, error) {
	ae, err := collection.ParseAETitle(r.PathValue("aet"))
	if err != nil {
		return nil, err
	}
	return nil, d.Desk.RemovePeer(r.Context(), r.who, ae)
}

func (d *Door) forwards(r *request) (any, error) {
	all, err := d.Desk.Forwards(r.Context(), r.who)
	views := make([]admin.ForwardView, len(all))
	for i, f := range all {
		views[i] = admin.ViewForward(f)
	}
	return views, err
}

func (d *Door) addForward(r *request) (any, error) {
	var v admin.ForwardView
	if err := r.body(&v); err != nil {
		return nil, err
	}
	k, stage, err := v.Rule()
	if err != nil {
		return nil, err
	}
	made, err := d.Desk.Forward(r.Context(), r.who, k, stage)
	return admin.ViewForward(made), err
}

func (d *Door) withdrawnCopies(r *request) (any, error) { return d.Desk.Gone(r.Context(), r.who) }

func (d *Door) toldOfWithdrawn(r *request) (any, error) {
	k, _, err := (&admin.ForwardView{Peer: r.PathValue("aet"), Collection: r.PathValue("collection")}).Rule()
	if err != nil {
		return nil, err
	}
	return d.Desk.ToldPeer(r.Context(), r.who, k)
}

func (d *Door) endForward(r *request) (any, error) {
	k, _, err := (&admin.ForwardView{Peer: r.PathValue("aet"), Collection: r.PathValue("collection")}).Rule()
	if err != nil {
		return nil, err
	}
	return nil, d.Desk.EndForward(r.Context(), r.who, k)
}

func (d *Door) audit(r *request) (any, error) {
	from, err := r.number("from", 0)
	if err != nil {
		return nil, err
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	in := r.URL.Query().Get("collection")
	if in != "" {
		if _, err := collection.ParseID(in); err != nil {
			return nil, err
		}
	}
	var page struct {
		Size    int64         `json:"size"`
		Entries []admin.Entry `json:"entries"`
	}
	if page.Entries, err = d.Desk.Entries(r.Context(), r.who, in, from, limit); err != nil {
		return nil, err
	}
	if page.Size, err = d.Desk.AuditSize(r.Context(), r.who); err != nil {
		return nil, err
	}
	return page, nil
}

func (d *Door) checkpoint(r *request) (any, error) {
	note, err := d.Checkpoint(r.Context(), r.who)
	return map[string]string{"note": note}, err
}

func parseDigest(s string) (identity.Digest, error) {
	var x identity.Digest
	if len(s) != 2*len(x) {
		return x, web.Refuse(http.StatusBadRequest, "add peer", "the certificate is not given by its SHA-256", "Give 64 hexadecimal digits: openssl x509 -outform DER | sha256sum")
	}
	for i := range x {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		if hi > 15 || lo > 15 {
			return x, web.Refuse(http.StatusBadRequest, "add peer", "the certificate is not given by its SHA-256", "Give 64 hexadecimal digits: openssl x509 -outform DER | sha256sum")
		}
		x[i] = hi<<4 | lo
	}
	return x, nil
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
