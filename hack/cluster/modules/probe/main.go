// probe tries the network and the files from where it runs and prints one JSON object a line for each try, so that a
// test can tell what a pod reaches. It needs no name resolution, no shell and no library.
//
//	probe serve ADDRESS...               answer HTTP on each address, e.g. :8080; runs until ended
//	probe tcp HOST:PORT...               open a connection to each
//	probe dns SERVER:PORT NAME...        ask the server over UDP for the A records of each name; any answer is a success
//	probe get URL...                     fetch each
//	probe read PATH...                   read each file
//	probe sleep                          wait until ended
//	probe echo                           as an agent: fetch the task from the gateway and hand its input back
//
// Called with nothing in an agent's pod (AOS_GATEWAY_URL is set) it is `probe echo`.
//
// It exits with 0 when every try succeeded, 1 when one failed, 2 when it was called wrongly. PROBE_TIMEOUT (a Go
// duration, 2s when unset) bounds each try.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const maxBodyBytes = 4096

type result struct {
	Kind         string   `json:"kind"`
	Target       string   `json:"target"`
	OK           bool     `json:"ok"`
	Error        string   `json:"error,omitempty"`
	Milliseconds int64    `json:"milliseconds"`
	Status       int      `json:"status,omitempty"`
	Body         string   `json:"body,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
}

type attempt func(ctx context.Context, found *result) error

func main() {
	if len(os.Args) < 2 && os.Getenv("AOS_GATEWAY_URL") != "" {
		os.Args = append(os.Args, "echo")
	}
	if len(os.Args) < 2 {
		usage("no command")
	}
	command, targets := os.Args[1], os.Args[2:]
	switch {
	case command == "sleep" && len(targets) == 0:
		time.Sleep(1<<63 - 1)
	case command == "echo" && len(targets) == 0:
		if err := echo(); err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(1)
		}
	case command == "serve" && len(targets) > 0:
		serve(targets)
	case command == "tcp" && len(targets) > 0:
		try(command, targets, connect)
	case command == "dns" && len(targets) > 1:
		try(command, targets[1:], func(ctx context.Context, found *result) error { return query(ctx, targets[0], found) })
	case command == "get" && len(targets) > 0:
		try(command, targets, fetch)
	case command == "read" && len(targets) > 0:
		try(command, targets, read)
	default:
		usage(fmt.Sprintf("unknown command, or too few arguments: %q", os.Args[1:]))
	}
}

func usage(problem string) {
	fmt.Fprintln(os.Stderr, "probe:", problem)
	fmt.Fprintln(os.Stderr, "usage: probe serve ADDRESS... | tcp HOST:PORT... | dns SERVER:PORT NAME... | get URL... | read PATH... | sleep | echo")
	os.Exit(2)
}

func timeout() time.Duration {
	given := os.Getenv("PROBE_TIMEOUT")
	if given == "" {
		return 2 * time.Second
	}
	parsed, err := time.ParseDuration(given)
	if err != nil || parsed <= 0 {
		usage(fmt.Sprintf("PROBE_TIMEOUT=%q is no positive Go duration such as 500ms", given))
	}
	return parsed
}

func try(kind string, targets []string, run attempt) {
	failed := false
	bound := timeout()
	lines := json.NewEncoder(os.Stdout)
	for _, target := range targets {
		found := result{Kind: kind, Target: target}
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		started := time.Now()
		err := run(ctx, &found)
		cancel()
		found.Milliseconds = time.Since(started).Milliseconds()
		found.OK = err == nil
		if err != nil {
			found.Error = err.Error()
			failed = true
		}
		_ = lines.Encode(found)
	}
	if failed {
		os.Exit(1)
	}
}

func connect(ctx context.Context, found *result) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", found.Target)
	if err != nil {
		return err
	}
	return connection.Close()
}

func query(ctx context.Context, server string, found *result) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server)
	}}
	// The dot at the end keeps the search list of the pod's resolv.conf out.
	addresses, err := resolver.LookupIP(ctx, "ip4", found.Target+".")
	for _, address := range addresses {
		found.Addresses = append(found.Addresses, address.String())
	}
	// "No such name" is an answer: the server was reached, and that is what a try asks.
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return nil
	}
	return err
}

func fetch(ctx context.Context, found *result) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, found.Target, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes))
	found.Status, found.Body = response.StatusCode, string(body)
	return err
}

func read(_ context.Context, found *result) error {
	file, err := os.Open(found.Target)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxBodyBytes))
	found.Body = string(content)
	return err
}

func serve(addresses []string) {
	host, _ := os.Hostname()
	answer := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		_ = json.NewEncoder(writer).Encode(map[string]string{"host": host, "from": request.RemoteAddr, "path": request.URL.Path})
	})
	failures := make(chan error)
	for _, address := range addresses {
		go func() { failures <- http.ListenAndServe(address, answer) }()
	}
	fmt.Fprintln(os.Stderr, "probe:", <-failures)
	os.Exit(1)
}
