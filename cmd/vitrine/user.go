package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

type usersCmd struct {
	Add      userAddCmd      `cmd:"" help:"Invite somebody: prints the link or the code by which they come, once."`
	List     userListCmd     `cmd:"" help:"List who may sign in, as what."`
	Describe userDescribeCmd `cmd:"" help:"Say who you are: ORCID iD and organisation. Another organisation than before has to be confirmed anew."`
	Show     userShowCmd     `cmd:"" help:"Show where somebody works, how sure it is who they are, and what training they have."`
	Confirm  userConfirmCmd  `cmd:"" help:"Confirm that somebody belongs to their organisation, or has a training whose certificate you have seen."`
	Due      userDueCmd      `cmd:"" help:"List of whom it has to be confirmed where they work."`
	Role     userRoleCmd     `cmd:"" help:"Give roles, or take them."`
	Link     userLinkCmd     `cmd:"" help:"Make a link that signs somebody in once, within seven days."`
	Code     userCodeCmd     `cmd:"" help:"Make a code to be read out, that signs somebody in once, within fifteen minutes."`
	Unlock   userUnlockCmd   `cmd:"" help:"Take one-time codes of an account again, after too many wrong ones."`
	Disable  userDisableCmd  `cmd:"" help:"Keep somebody out, within a second."`
	Enable   userEnableCmd   `cmd:"" help:"Let somebody in again."`
}

// publicFlag says what links begin with. Over --server the node knows it.
type publicFlag struct {
	Public string `name:"public-url" placeholder:"URL" help:"With --data: where people reach the portal, which links begin with."`
}

// show prints a link or a code alone, and what it is for.
func (f *publicFlag) show(s *streams, quiet bool, name string, in *signin.WayIn) error {
	if in.Code != "" {
		fmt.Fprintln(s.out, in.Code)
		if !quiet {
			s.say("Read it out to %s: it works once, until %s, on the page Sign in.", name, minute(in.Expires))
		}
		return nil
	}
	fmt.Fprintln(s.out, in.Link)
	if !quiet {
		s.say("Give it to %s over a way that you trust: it works once, until %s.", name, minute(in.Expires))
		if strings.HasPrefix(in.Link, "/") {
			s.say("Put the node's address before it, or give --public-url.")
		}
	}
	return nil
}

func (f *publicFlag) whole(in *signin.WayIn) error {
	if f.Public == "" || in == nil || !strings.HasPrefix(in.Link, "/") {
		return nil
	}
	base, err := web.ParsePublic(f.Public)
	in.Link = base + in.Link
	return err
}

// roleViews reads ROLE or ROLE@COLLECTION.
func roleViews(texts []string) ([]signin.RoleView, error) {
	out := []signin.RoleView{}
	for _, t := range texts {
		name, in, ok := strings.Cut(t, "@")
		if !ok {
			in = policy.AllCollections
		}
		if _, known := policy.ParseRole(name); !known || in == "" {
			return nil, usage("%q is no role: give ROLE or ROLE@COLLECTION, with depositor, researcher, physicist, custodian, committee, funder, steward or admin", t)
		}
		out = append(out, signin.RoleView{Role: name, Collection: in})
	}
	return out, nil
}

func rolesText(roles []signin.RoleView) string {
	var parts []string
	for _, r := range roles {
		if r.Collection == policy.AllCollections {
			parts = append(parts, r.Role)
		} else {
			parts = append(parts, r.Role+"@"+r.Collection)
		}
	}
	return strings.Join(parts, " ")
}

type userAddCmd struct {
	adminFlags
	publicFlag
	Name string   `arg:"" help:"What people call them."`
	Role []string `placeholder:"ROLE@COLLECTION" help:"A role, in one collection, or without @COLLECTION in all. May be given more than once."`
	By   string   `enum:"link,code" default:"link" help:"How they come: ${enum}."`
}

// Run invites somebody.
func (c *userAddCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	roles, err := roleViews(c.Role)
	if err != nil {
		return err
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := o.AddPerson(ctx, signin.NewPerson{Name: c.Name, Roles: roles, By: c.By})
	if err != nil {
		return err
	}
	if err := c.whole(p.WayIn); err != nil {
		return err
	}
	if s.json {
		return s.value(p)
	}
	if !cli.Quiet {
		s.say("%s %q: %s.", p.ID, p.Name, orNone(rolesText(p.Roles)))
	}
	return c.show(s, cli.Quiet, p.Name, p.WayIn)
}

func orNone(roles string) string {
	if roles == "" {
		return "no role"
	}
	return roles
}

type userListCmd struct{ adminFlags }

// Run lists people.
func (c *userListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.People(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "NAME", "ROLES", "STATE", "PASSKEYS", "APP", "IDENTITIES", "LAST SIGN-IN"}, none: "Nobody may sign in yet; `vitrine user add` invites somebody."}
	for _, p := range all {
		app := "-"
		if p.Apps > 0 {
			app = "yes"
		}
		t.add(p.ID, p.Name, orNone(rolesText(p.Roles)), p.State, fmt.Sprint(p.Passkeys), app, fmt.Sprint(p.Identities), minute(p.Seen))
	}
	return s.list(all, t)
}

type userRoleCmd struct {
	oneUser
	Give []string `placeholder:"ROLE@COLLECTION" help:"Give this role too. May be given more than once."`
	Take []string `placeholder:"ROLE@COLLECTION" help:"Take this role away. May be given more than once."`
}

// Run changes roles.
func (c *userRoleCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	give, err := roleViews(c.Give)
	if err != nil {
		return err
	}
	take, err := roleViews(c.Take)
	if err != nil {
		return err
	}
	if len(give)+len(take) == 0 {
		return usage("say what to change: --give ROLE@COLLECTION or --take ROLE@COLLECTION")
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := o.Person(ctx, c.ID)
	if err != nil {
		return err
	}
	gone := map[signin.RoleView]bool{}
	for _, r := range take {
		gone[r] = true
	}
	want := []signin.RoleView{}
	for _, r := range append(p.Roles, give...) {
		if !gone[r] {
			want = append(want, r)
			gone[r] = true // once is enough
		}
	}
	return changeUser(ctx, cli, s, o, c.ID, signin.Change{Roles: &want})
}

func changeUser(ctx context.Context, cli *CLI, s *streams, o office, id string, c signin.Change) error {
	p, err := o.ChangePerson(ctx, id, c)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(p)
	}
	if !cli.Quiet {
		s.say("%s %q: %s; %s.", p.ID, p.Name, orNone(rolesText(p.Roles)), p.State)
	}
	return nil
}

type userLinkCmd struct {
	oneUser
	publicFlag
}

// Run makes a link.
func (c *userLinkCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	return c.wayIn(ctx, cli, s, &c.publicFlag, "link")
}

type userCodeCmd struct{ oneUser }

// Run makes a code.
func (c *userCodeCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	return c.wayIn(ctx, cli, s, &publicFlag{}, "code")
}

// oneUser is what a verb takes that is about one account.
type oneUser struct {
	adminFlags
	ID string `arg:"" help:"The account's id, as in the list."`
}

func (c *oneUser) wayIn(ctx context.Context, cli *CLI, s *streams, public *publicFlag, by string) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	in, err := o.WayIn(ctx, c.ID, by)
	if err != nil {
		return err
	}
	if err := public.whole(in); err != nil {
		return err
	}
	if s.json {
		return s.value(in)
	}
	return public.show(s, cli.Quiet, c.ID, in)
}

func (c *oneUser) change(ctx context.Context, cli *CLI, s *streams, to signin.Change) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	return changeUser(ctx, cli, s, o, c.ID, to)
}

type userUnlockCmd struct{ oneUser }

// Run lifts a lock.
func (c *userUnlockCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	return c.change(ctx, cli, s, signin.Change{Locked: new(false)})
}

type userDisableCmd struct{ oneUser }

// Run keeps somebody out.
func (c *userDisableCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	return c.change(ctx, cli, s, signin.Change{Disabled: new(true)})
}

type userEnableCmd struct{ oneUser }

// Run lets somebody in again.
func (c *userEnableCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	return c.change(ctx, cli, s, signin.Change{Disabled: new(false)})
}

// People on the node's own folder.

func (l *local) People(ctx context.Context) ([]signin.PersonView, error) {
	return l.records.People().ViewPeople(ctx, l.who)
}

func (l *local) AddPerson(ctx context.Context, n signin.NewPerson) (signin.PersonView, error) {
	return l.records.People().Add(ctx, l.who, n)
}

func (l *local) Person(ctx context.Context, id string) (signin.PersonView, error) {
	return l.records.People().ViewPerson(ctx, l.who, id)
}

func (l *local) ChangePerson(ctx context.Context, id string, c signin.Change) (signin.PersonView, error) {
	return l.records.People().Change(ctx, l.who, id, c)
}

func (l *local) WayIn(ctx context.Context, id, by string) (*signin.WayIn, error) {
	if by == "code" {
		return l.records.People().NewCode(ctx, l.who, id)
	}
	return l.records.People().NewLink(ctx, l.who, id)
}

// People over the API.

func (r *remote) People(ctx context.Context) (all []signin.PersonView, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "people")
}

func (r *remote) AddPerson(ctx context.Context, n signin.NewPerson) (p signin.PersonView, err error) {
	return p, r.c.JSON(ctx, http.MethodPost, nil, n, &p, "api", "people")
}

func (r *remote) Person(ctx context.Context, id string) (p signin.PersonView, err error) {
	return p, r.c.JSON(ctx, http.MethodGet, nil, nil, &p, "api", "people", id)
}

func (r *remote) ChangePerson(ctx context.Context, id string, c signin.Change) (p signin.PersonView, err error) {
	return p, r.c.JSON(ctx, http.MethodPatch, nil, c, &p, "api", "people", id)
}

func (r *remote) WayIn(ctx context.Context, id, by string) (*signin.WayIn, error) {
	in := &signin.WayIn{}
	return in, r.c.JSON(ctx, http.MethodPost, nil, nil, in, "api", "people", id, by+"s")
}
