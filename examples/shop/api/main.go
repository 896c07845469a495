// API is the shop's middle: it counts visits in Redis, which it finds by name.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	check := flag.Bool("check", false, "ask the running server for its health, and exit")
	listen := flag.String("listen", ":8081", "address to serve on")
	flag.Parse()
	if *check {
		os.Exit(health("http://127.0.0.1:8081/health"))
	}
	redis := os.Getenv("REDIS_ADDR")
	if redis == "" {
		redis = "redis:6379"
	}
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") })
	http.HandleFunc("POST /visits", func(w http.ResponseWriter, r *http.Request) {
		n, err := increment(r.Context(), redis, "visits")
		if err != nil {
			http.Error(w, "Redis does not answer: "+err.Error(), http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"count": n, "by": host})
	})
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// increment adds one to a key of Redis and returns the sum. It speaks the inline
// form of Redis's protocol, one command per connection, so that each request looks
// the name up anew and finds a Redis that has moved.
func increment(ctx context.Context, addr, key string) (int64, error) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "INCR %s\r\n", key); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(line), ":")
	if !ok {
		return 0, fmt.Errorf("answer %q to INCR", line)
	}
	return strconv.ParseInt(number, 10, 64)
}

func health(url string) int {
	client := http.Client{Timeout: time.Second}
	reply, err := client.Get(url) //nolint:noctx // the client has a time limit
	if err != nil {
		return 1
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
