package main

import (
	"bufio"
	"os"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
)

// serverFlags say which node to speak to.
type serverFlags struct {
	Server    string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"The node's address. Default: ${default}."`
	Token     string `placeholder:"TOKEN" help:"What the node knows you by. Better given as VITRINE_TOKEN or --token-file: other users of a machine can see command lines."`
	TokenFile string `placeholder:"FILE" help:"File that holds the token."`
	PlainHTTP bool   `name:"plain-http" help:"Send the token and images over http:// beyond this machine."`
}

// patienceFlags say how long to wait for a node that does not answer.
type patienceFlags struct {
	Patience time.Duration `default:"5m" placeholder:"DURATION" help:"Try again for so long where the node does not answer or has no room. Default: ${default}."`
}

// client opens the way to the node.
func (f *serverFlags) client(connections int) (*client.Client, error) {
	token := f.Token
	if token == "" && f.TokenFile != "" {
		var err error
		if token, err = firstLine(f.TokenFile); err != nil {
			return nil, usage("--token-file: %w", err)
		}
	}
	c, err := client.New(f.Server, token, client.Options{PlainHTTP: f.PlainHTTP, Connections: connections, Agent: "vitrine/" + versionText()})
	if err != nil {
		return nil, usage("--server: %w", err)
	}
	return c, nil
}

// firstLine is the first line of a file, without the spaces around it.
func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, 4096).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" && err != nil {
		return "", usage("the file is empty")
	}
	return line, nil
}
