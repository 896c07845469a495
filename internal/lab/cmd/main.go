// Command lab puts a lab up and takes it down. With -shoal it is the demo: it starts
// the daemons, joins them, deploys the shop and shows what a user would look at.
//
//	lab up [-peers 3] [-programs DIR] [-shoal FILE -deploy FILE] [-mark FILE]    prints the lab's number last
//	lab down [NUMBER...]                                            all labs that were left standing
//	lab list
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shoal/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("want up, down or list")
	}
	switch args[0] {
	case "up":
		return up(ctx, args[1:])
	case "down":
		return down(ctx, args[1:])
	case "list":
		numbers, err := lab.Numbers()
		for _, n := range numbers {
			fmt.Println(n)
		}
		return err
	}
	return fmt.Errorf("%q: want up, down or list", args[0])
}

func up(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("lab up", flag.ExitOnError)
	peers := flags.Int("peers", 3, "number of peers, at most 26")
	programs := flags.String("programs", "", "directory with the shop's web and api; their images are then imported")
	shoal := flags.String("shoal", "", "the binary; each peer then runs its daemon")
	mark := flags.String("mark", "", "file that gets the lab's number, for lab down")
	file := flags.String("deploy", "", "Compose file to deploy at the first peer")
	_ = flags.Parse(args)

	cfg := lab.Config{Peers: *peers, Detached: true}
	for path, into := range map[*string]*string{shoal: &cfg.Binary, programs: programs} {
		if *path != "" {
			abs, err := filepath.Abs(*path)
			if err != nil {
				return err
			}
			*into = abs
		}
	}
	cfg.Images = []lab.Image{lab.Busybox()}
	if *programs != "" {
		cfg.Images = lab.DemoImages(*programs)
	}
	began := time.Now()
	l, err := lab.Start(ctx, cfg)
	if err != nil {
		return err
	}
	if *mark != "" {
		if err := os.WriteFile(*mark, []byte(strconv.Itoa(l.Number)+"\n"), 0o600); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	fmt.Printf("%d machines with an engine each, after %s:\n", *peers, since(began))
	for _, p := range l.Peers {
		fmt.Printf("  %s  %-12s  %s\n", p.Name, p.Addr, p.Dir)
	}
	if cfg.Binary != "" {
		if err := demo(ctx, l, *file); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	fmt.Println("lab", l.Number)
	return nil
}

// demo does what the README tells a user to do, and shows each command.
func demo(ctx context.Context, l *lab.Lab, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	began := time.Now()
	first := l.Peers[0]
	say(first, "up", "--new")
	if err := first.StartDaemon(ctx, "--new"); err != nil {
		return err
	}
	ticket, err := first.Shoal(ctx, "ticket")
	if err != nil || ticket.Code != 0 {
		return errors.Join(err, fmt.Errorf("shoal ticket exited with %d: %s", ticket.Code, ticket.Stderr))
	}
	for _, p := range l.Peers[1:] {
		say(p, "up", "TICKET")
		if err := p.StartDaemon(ctx, strings.TrimSpace(ticket.Stdout)); err != nil {
			return err
		}
	}
	fmt.Printf("%d peers after %s\n", len(l.Peers), since(began))
	if file == "" {
		return nil
	}
	began = time.Now()
	if err := show(ctx, first, "deploy", file); err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s:8080/", l.Peers[len(l.Peers)-1].Addr)
	page, err := awaitPage(ctx, url)
	if err != nil {
		return err
	}
	fmt.Printf("the shop answers after %s\n", since(began))
	for _, args := range [][]string{{"ps"}, {"why", "shop/web.0"}} {
		if err := show(ctx, first, args...); err != nil {
			return err
		}
	}
	fmt.Printf("\n$ curl %s\n%s\n", url, page)
	fmt.Printf("%s answers, as does port 8080 of every peer.\n", url)
	fmt.Printf("More: %s --socket %s events -f\nEnd:  make demo-down\n", first.Binary(), first.Socket)
	return nil
}

func say(p *lab.Peer, args ...string) {
	fmt.Printf("\n%s$ shoal %s\n", p.Name, strings.Join(args, " "))
}

// show runs a command as the user would and prints what it says.
func show(ctx context.Context, p *lab.Peer, args ...string) error {
	say(p, args...)
	result, err := p.Shoal(ctx, args...)
	fmt.Print(result.Stdout, result.Stderr)
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("shoal %s exited with %d", strings.Join(args, " "), result.Code)
	}
	return err
}

// awaitPage fetches a page from this machine until it answers with 200.
func awaitPage(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var page string
	err := lab.Poll(ctx, func() error {
		body, err := fetch(ctx, url)
		page = body
		return err
	})
	return page, err
}

func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 64<<10))
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, reply.Status, body)
	}
	return string(body), err
}

// down removes the labs named, or all that were left standing on purpose.
func down(ctx context.Context, args []string) error {
	numbers, err := lab.Detached()
	if err != nil {
		return err
	}
	if len(args) > 0 {
		standing := numbers
		numbers = nil
		for _, arg := range args {
			n, err := strconv.Atoi(arg)
			if err != nil || !slices.Contains(standing, n) {
				return fmt.Errorf("no lab %q was left standing; there are: %v", arg, standing)
			}
			numbers = append(numbers, n)
		}
	}
	var errs []error
	for _, n := range numbers {
		began := time.Now()
		errs = append(errs, lab.Remove(ctx, n))
		fmt.Printf("lab %d removed in %s\n", n, since(began))
	}
	return errors.Join(errs...)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }
