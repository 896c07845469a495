// Web is the shop's front: a page that shows how often it was visited, a number it
// has from the API, which it finds by name.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

const page = `<!doctype html><title>shop</title>
<h1>Welcome to the shop</h1>
<p>You are visitor number %d.</p>
<p>Page by %s, number by %s.</p>
`

// visit is what the API answers.
type visit struct {
	Count int64  `json:"count"`
	By    string `json:"by"`
}

func main() {
	check := flag.Bool("check", false, "ask the running server for its health, and exit")
	listen := flag.String("listen", ":8080", "address to serve on")
	flag.Parse()
	if *check {
		os.Exit(health("http://127.0.0.1:8080/health"))
	}
	api := os.Getenv("API_URL")
	if api == "" {
		api = "http://api:8081"
	}
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") })
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		v, err := count(r.Context(), api)
		if err != nil {
			http.Error(w, "the API does not answer: "+err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, page, v.Count, host, v.By)
	})
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// count reports a visit to the API, which answers with its number.
func count(ctx context.Context, api string) (visit, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/visits", nil)
	if err != nil {
		return visit{}, err
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return visit{}, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 4096))
	if err != nil {
		return visit{}, err
	}
	if reply.StatusCode != http.StatusOK {
		return visit{}, fmt.Errorf("%s: %s", reply.Status, body)
	}
	var v visit
	return v, json.Unmarshal(body, &v)
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
