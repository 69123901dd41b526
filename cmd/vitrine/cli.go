package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// CLI is every command with its flags. Each flag can come from the command line, from the environment (VITRINE_ and the flag's name in capitals), or from
// the file of --config, in this order.
type CLI struct {
	Config  string      `placeholder:"FILE" help:"YAML or JSON file with values for flags, by their names; a section named after a command holds for that command alone."`
	Output  string      `enum:"table,json" default:"table" help:"What to print: ${enum}."`
	Quiet   bool        `short:"q" help:"No progress bar and no remarks; errors alone."`
	Version versionFlag `help:"Print the version."`

	Serve       serveCmd        `cmd:"" group:"node" help:"Run a node: receive, clean, keep, and give back images."`
	Gateway     gatewayCmd      `cmd:"" group:"node" help:"Run a gateway: receive and clean inside a hospital, and send what is clean to a node."`
	Deidentify  deidentifyCmd   `cmd:"" group:"images" help:"Clean DICOM files of identity, without server or network."`
	Deposit     depositCmd      `cmd:"" group:"images" help:"Give DICOM files to a collection of a node."`
	Profiles    profilesCmd     `cmd:"" name:"profile" group:"images" help:"List, explain, check and test profiles of de-identification."`
	Find        findCmd         `cmd:"" group:"images" help:"Search studies, series or instances."`
	Get         getCmd          `cmd:"" group:"images" help:"Fetch images, verified, into a folder."`
	Collections collectionsCmd  `cmd:"" name:"collection" group:"node" help:"Create and list collections."`
	Directory   directoryCmd    `cmd:"" group:"node" help:"Describe collections in the directory."`
	Tokens      tokensCmd       `cmd:"" name:"token" group:"node" help:"Give, list and revoke tokens."`
	Users       usersCmd        `cmd:"" name:"user" group:"node" help:"Let people in: invite, list, disable, give roles, make links and codes."`
	Links       linksCmd        `cmd:"" name:"link" group:"node" help:"Let people outside send into a collection without an account: make, list, end links."`
	Pulls       pullsCmd        `cmd:"" name:"pull" group:"node" help:"Collect images from other archives: lists, or whatever is new every night."`
	Clinical    clinicalCmd     `cmd:"" group:"node" help:"Give clinical data to a collection."`
	Consent     consentCmd      `cmd:"" group:"node" help:"Write down what people agree to and refuse, and on what basis images are used."`
	Subject     subjectCmd      `cmd:"" group:"node" help:"Carry out that a person withdraws; certify it."`
	Peers       peersCmd        `cmd:"" name:"peer" group:"node" help:"Register the DICOM peers of a node."`
	Held        heldCmd         `cmd:"" group:"node" help:"Decide on what is held."`
	Report      reportCmd       `cmd:"" group:"node" help:"Say what was done to a deposit, in counts."`
	Statement   statementCmd    `cmd:"" group:"node" help:"Say how a collection was de-identified, signed; verify what a node has signed."`
	Rulings     rulingsCmd      `cmd:"" name:"ruling" group:"node" help:"Decide once for all that is held and alike; list such decisions, end one."`
	Releases    releasesCmd     `cmd:"" name:"release" group:"node" help:"Make datasets and their versions, publish them; make admitted studies visible."`
	Requests    requestsCmd     `cmd:"" name:"request" group:"node" help:"Ask to use data, decide on what others ask for, and see what data are used for."`
	Agreements  agreementsCmd   `cmd:"" name:"agreement" group:"node" help:"Give, check and end the signed agreements of requests."`
	Entitlement entitlementsCmd `cmd:"" name:"entitlement" group:"node" help:"List who may use what until when; suspend, resume or revoke it."`
	Recalls     recallsCmd      `cmd:"" name:"recall" group:"node" help:"See what is called back, say what was done with the copies, let an answer go."`
	Audit       auditCmd        `cmd:"" group:"node" help:"Read and prove the audit log."`
	Reidentify  reidentifyCmd   `cmd:"" group:"node" help:"Be told who a subject is: two people, a reason, once."`
	Key         keyCmd          `cmd:"" group:"node" help:"Show where the master key is, and change it."`
	Verify      verifyCmd       `cmd:"" group:"node" help:"Hash every stored object and the audit log again."`
	Backup      backupCmd       `cmd:"" group:"node" help:"Copy what a node keeps to another place while it runs, and prove that it can be restored."`
	Restore     restoreCmd      `cmd:"" group:"node" help:"Make a node again of a backup, in an empty folder."`
	Help        helpCmd         `cmd:"" help:"Explain a task step by step, as the portal's help does; list the topics."`

	Sample sampleCmd      `cmd:"" hidden:"" help:"Write generated sample studies; nobody in them exists."`
	Send   sendCmd        `cmd:"" hidden:"" help:"Send DICOM files by C-STORE."`
	Codec  codecWorkerCmd `cmd:"" name:"codec-worker" hidden:"" help:"Decode frames for a node, which starts this itself."`

	Document documentWorkerCmd  `cmd:"" name:"document-worker" hidden:"" help:"Read a document for a node, which starts this itself."`
	Second   tesseractWorkerCmd `cmd:"" name:"tesseract-worker" hidden:"" help:"Become Tesseract, confined, for a node, which starts this itself."`
	Video    videoWorkerCmd     `cmd:"" name:"video-worker" hidden:"" help:"Become a program that reads a video, with limits; a node starts this itself."`
}

const description = `Vitrine keeps images for cancer research: it receives them, cleans them of identity, keeps them safe, and gives them to whom it may.

Every flag can also be given as an environment variable (--http is VITRINE_HTTP) or in the file of --config.
Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 done, but some inputs were held or refused.`

func newParser(cli *CLI, std *streams, c config) (*kong.Kong, error) {
	return kong.New(cli,
		kong.Resolvers(c),
		kong.Name("vitrine"),
		kong.Description(description),
		kong.Writers(std.out, std.err),
		kong.DefaultEnvars("VITRINE"),
		kong.ExplicitGroups([]kong.Group{{Key: "images", Title: "Images"}, {Key: "node", Title: "A node"}}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 110}),
		kong.ValueFormatter(describeFlag),
	)
}

// describeFlag is a flag's help; its environment variable can be told from its name and is named once, in the description.
func describeFlag(v *kong.Value) string { return v.Help }

// parseFault turns kong's errors into ours: all of them are wrong usage.
func parseFault(err error) error {
	pe, ok := errors.AsType[*kong.ParseError](err)
	if !ok {
		return &exit{exitUsage, err}
	}
	command := "vitrine"
	if c := pe.Context.Command(); c != "" {
		// Without the names of arguments: "deposit <src>".
		words := strings.Fields(c)
		for i, w := range words {
			if strings.HasPrefix(w, "<") || strings.HasPrefix(w, "[") {
				words = words[:i]
				break
			}
		}
		command = strings.TrimSpace("vitrine " + strings.Join(words, " "))
	}
	return usage("%w\nTry: %s --help", pe.Unwrap(), command)
}

// explicit are the names of the flags that stand on the command line itself: they win over what environment and configuration say of others.
func explicit(k *kong.Context) map[string]bool {
	given := map[string]bool{}
	for _, p := range k.Path {
		if p.Flag != nil && !p.Resolved {
			given[p.Flag.Name] = true
		}
	}
	return given
}

type versionFlag bool

// BeforeReset prints the version and ends.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprintln(app.Stdout, "vitrine "+versionText())
	app.Exit(0)
	return nil
}

// configOf loads the file that --config or VITRINE_CONFIG names, before anything is parsed: what it says fills in for flags.
func configOf(args []string) (config, error) {
	path := os.Getenv("VITRINE_CONFIG")
	for i, a := range args {
		if a == "--" {
			break
		}
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			path = v
		} else if a == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("--config: %w", err)
	}
	defer f.Close()
	c, err := readConfig(f)
	if err != nil {
		return nil, usage("--config: %w", err)
	}
	return c, nil
}

// config is what a configuration file says: values by flag, and sections by command.
type config map[string]any

const maxConfig = 1 << 20

func readConfig(r io.Reader) (config, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxConfig {
		return nil, errors.New("the file is larger than a configuration can be")
	}
	c := config{}
	if err := yaml.Unmarshal(b, &c); err != nil { // JSON is YAML too
		// The library's message may quote the file, which may hold a token.
		line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), ":")
		if !strings.HasPrefix(line, "line ") {
			line = "it"
		}
		return nil, fmt.Errorf("%s is neither YAML nor JSON of the form `flag: value`", line)
	}
	return c, nil
}

// Validate refuses names that no flag has: a misspelt one would be passed over in silence.
func (c config) Validate(app *kong.Application) error { return c.check(app.Node, "") }

func (c config) check(node *kong.Node, section string) error {
	known := map[string]bool{}
	for _, n := range descendants(node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
	}
	for name, v := range c {
		flag := strings.ReplaceAll(name, "_", "-")
		if sub := child(node, flag); sub != nil {
			if m, ok := v.(config); ok {
				if err := m.check(sub, section+name+"."); err != nil {
					return err
				}
				continue
			}
			if m, ok := v.(map[string]any); ok {
				if err := config(m).check(sub, section+name+"."); err != nil {
					return err
				}
				continue
			}
		}
		if !known[flag] {
			return fmt.Errorf("--config: there is no flag --%s to set by %q", flag, section+name)
		}
	}
	return nil
}

func descendants(n *kong.Node) []*kong.Node {
	all := []*kong.Node{n}
	for _, c := range n.Children {
		all = append(all, descendants(c)...)
	}
	return all
}

func child(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Resolve is the value of a flag that the environment does not give: the innermost section wins.
func (c config) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil
		}
	}
	section := map[string]any(c)
	value := lookup(section, flag.Name)
	for _, p := range ctx.Path {
		if p.Command == nil {
			continue
		}
		next := lookup(section, p.Command.Name)
		switch m := next.(type) {
		case config:
			section = m
		case map[string]any:
			section = m
		default:
			return asFlag(value), nil
		}
		if v := lookup(section, flag.Name); v != nil {
			value = v
		}
	}
	return asFlag(value), nil
}

func lookup(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	return m[strings.ReplaceAll(name, "-", "_")]
}

// asFlag gives kong what it can parse: numbers and truth values as text, lists as their elements.
func asFlag(v any) any {
	switch reflect.ValueOf(v).Kind() {
	case reflect.Invalid, reflect.Map:
		return nil
	case reflect.Slice:
		return v
	}
	return fmt.Sprint(v)
}
