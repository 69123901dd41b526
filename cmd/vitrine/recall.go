package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/recall"
)

type recallsCmd struct {
	List   recallListCmd   `cmd:"" help:"List what is called back from you, and from others in your collections."`
	Show   recallShowCmd   `cmd:"" help:"Show a recall with its objects, and what to do."`
	Attest recallAttestCmd `cmd:"" help:"Say what was done with the copies, signed by the node."`
	Waive  recallWaiveCmd  `cmd:"" help:"Let an answer go, with a reason; for who answers for the collection and signs in."`
	Resume recallResumeCmd `cmd:"" help:"Permit use again that was suspended, once it is answered; for a custodian who signs in."`
}

type recallListCmd struct{ whoFlags }

// Run lists.
func (c *recallListCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		all := []recall.View{}
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "recalls"); err != nil {
			return err
		}
		t := &table{head: []string{"RECALL", "WHO", "RELEASES", "OBJECTS", "TOLD", "DUE", "STATE"}, none: "Nothing is called back that is yours to see."}
		for _, v := range all {
			who := v.Recipient
			if v.Own {
				who = "you"
			}
			t.add(v.ID, who, strings.Join(v.Releases, " "), fmt.Sprint(v.Objects), v.Told.UTC().Format(time.DateOnly), v.Due.UTC().Format(time.DateOnly), v.State)
		}
		return s.list(all, t)
	})
}

type recallShowCmd struct {
	whoFlags
	Recall string `arg:"" help:"The recall's number."`
}

// Run shows.
func (c *recallShowCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v struct {
			recall.View
			Called []recall.Object `json:"called,omitempty"`
		}
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &v.View, "api", "recalls", c.Recall); err != nil {
			return err
		}
		if v.Own {
			if err := n.JSON(ctx, http.MethodGet, nil, nil, &v.Called, "api", "recalls", c.Recall, "objects"); err != nil {
				return err
			}
		}
		if s.json {
			return s.value(v)
		}
		s.recall(v.View)
		for _, o := range v.Called {
			fmt.Fprintf(s.out, "%-13s %s  %s\n", "object", o.DRS, o.Release)
		}
		return nil
	})
}

// recall prints one.
func (s *streams) recall(v recall.View) {
	for _, r := range [][2]string{{"recall", v.ID}, {"project", v.Project}, {"recipient", v.Recipient}, {"collection", v.Collection}, {"why", v.Why}, {"releases", strings.Join(v.Releases, " ")}, {"objects", fmt.Sprint(v.Objects)},
		{"told", v.Told.UTC().Format(time.DateOnly)}, {"due", v.Due.UTC().Format(time.DateOnly)}, {"state", v.State}, {"answer", v.Outcome}} {
		if r[1] != "" {
			fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
		}
	}
	if v.Suspended {
		fmt.Fprintf(s.out, "%-13s %s\n", "use", "suspended, until it is answered and the custodian agrees")
	}
	if v.Own && v.State != "attested" && v.State != "waived" {
		for _, r := range v.Releases {
			fmt.Fprintf(s.out, "%-13s %s\n", "next", "vitrine get "+r+" --to FOLDER --delete-withdrawn")
		}
		fmt.Fprintf(s.out, "%-13s %s\n", "then", "vitrine recall attest "+v.ID+" --answer deleted --agree")
	}
}

func (f *personFlags) actOnRecall(ctx context.Context, s *streams, id string, a recall.Act) error {
	return f.as(ctx, s, func(n *client.Client) error {
		var v recall.View
		if err := n.JSON(ctx, http.MethodPost, nil, a, &v, "api", "recalls", id, "acts"); err != nil {
			return err
		}
		if s.json {
			return s.value(v)
		}
		s.recall(v)
		return nil
	})
}

type recallAttestCmd struct {
	personFlags
	Recall string   `arg:"" help:"The recall's number."`
	Answer string   `required:"" enum:"deleted,excluded,stopped,not-feasible" help:"What was done with the copies: ${enum}."`
	Reason string   `placeholder:"TEXT" help:"Why it is not feasible; kept encrypted."`
	Model  []string `sep:"none" placeholder:"ANSWER:NAME[:REASON]" help:"A model that was derived from them: retrained, excluded or not-feasible, its name, and why. May be given more than once."`
	Agree  bool     `help:"You agree to the words of the answer, as the portal's page and docs/guides/researchers.md have them."`
}

// Run attests.
func (c *recallAttestCmd) Run(ctx context.Context, s *streams) error {
	a := recall.Act{Do: "attest", Answer: c.Answer, Text: c.Reason, Agree: c.Agree}
	for _, m := range c.Model {
		p := strings.SplitN(m, ":", 3)
		if len(p) < 2 {
			return usage("--model is ANSWER:NAME, or ANSWER:NAME:REASON")
		}
		x := recall.Model{Answer: p[0], Name: p[1]}
		if len(p) == 3 {
			x.Reason = p[2]
		}
		a.Models = append(a.Models, x)
	}
	if !c.Agree {
		for _, w := range recall.Answers {
			if w[0] == c.Answer {
				return usage("with --agree you say: %s", w[1])
			}
		}
	}
	return c.actOnRecall(ctx, s, c.Recall, a)
}

type recallWaiveCmd struct {
	personFlags
	Recall string `arg:"" help:"The recall's number."`
	Reason string `required:"" placeholder:"TEXT" help:"Why no answer is needed; kept encrypted, for both sides."`
}

// Run waives.
func (c *recallWaiveCmd) Run(ctx context.Context, s *streams) error {
	return c.actOnRecall(ctx, s, c.Recall, recall.Act{Do: "waive", Text: c.Reason})
}

type recallResumeCmd struct {
	personFlags
	Recall string `arg:"" help:"The recall's number."`
	Reason string `placeholder:"TEXT" help:"Why; kept encrypted, for both sides."`
}

// Run resumes.
func (c *recallResumeCmd) Run(ctx context.Context, s *streams) error {
	return c.actOnRecall(ctx, s, c.Recall, recall.Act{Do: "resume", Text: c.Reason})
}
