// Command vitrine is the whole of Vitrine in one binary: a repository node for images of cancer research (`vitrine serve`), its administration, and the
// tools of those who give and fetch images.
//
// Each verb is a file. A verb reads its arguments, calls the package that does the work, and prints the outcome; main only assembles.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// version is set by the linker.
var version = ""

// versionText is what the linker or the module says.
func versionText() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
		return bi.Main.Version
	}
	return "devel"
}

// Exit codes; they are part of the contract with scripts.
const (
	exitDone    = 0
	exitFailed  = 1 // a check failed, or the command could not do its work
	exitUsage   = 2 // wrong usage
	exitPartial = 3 // done, but some inputs were held or refused
)

// exit is an error that stands for an exit code; its message, if it has one, is printed.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *exit) Unwrap() error { return e.err }

// usage is an error of the caller's, with what to do instead.
func usage(format string, args ...any) error { return &exit{exitUsage, fmt.Errorf(format, args...)} }

// partial says that some inputs were held or refused; the report has named them already.
var partial = &exit{code: exitPartial}

// failed says that a check failed; the report has said what.
var failed = &exit{code: exitFailed}

func main() {
	// An empty variable is one that is not set, as scripts and containers write it.
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VITRINE_") && value == "" {
			os.Unsetenv(name)
		}
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without the process: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// The first signal asks to finish what is being done; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	std := &streams{in: stdin, out: stdout, err: stderr}
	cli := &CLI{}
	c, err := configOf(args)
	if err != nil {
		return std.report(err)
	}
	parser, err := newParser(cli, std, c)
	if err != nil {
		fmt.Fprintf(stderr, "vitrine: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	code := exitDone
	parser.Exit = func(c int) { panic(exited(c)) }
	func() {
		defer func() {
			if c, ok := recover().(exited); ok {
				code, err = int(c), nil
			}
		}()
		err = dispatch(ctx, parser, cli, std, args)
	}()
	if err == nil {
		return code
	}
	return std.report(err)
}

// exited carries kong's wish to end, after --help or --version, up to run.
type exited int

// dispatch parses the arguments and runs the command that they name.
func dispatch(ctx context.Context, parser *kong.Kong, cli *CLI, std *streams, args []string) error {
	k, err := parser.Parse(args)
	if err != nil {
		return parseFault(err)
	}
	std.json = cli.Output == "json"
	std.given = explicit(k)
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(std)
	return k.Run()
}

// report prints an error for people and gives its exit code.
func (s *streams) report(err error) int {
	code := exitFailed
	if e, ok := errors.AsType[*exit](err); ok {
		if e.err == nil {
			return e.code
		}
		code = e.code
	} else if errors.Is(err, context.Canceled) {
		fmt.Fprintln(s.err, "vitrine: interrupted; what was done so far is kept")
		return exitFailed
	} else if fault.Is(err, fault.Invalid) {
		code = exitUsage // what the caller gave breaks a rule
	}
	fmt.Fprintf(s.err, "vitrine: %v\n", err)
	return code
}
