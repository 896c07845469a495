// Counter stands in for Redis where there is no container engine to run it: it
// understands INCR, one command per connection, and forgets all when it ends.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"time"
)

// maxKeys bounds the memory that clients can take.
const maxKeys = 1000

// A counter holds a number per key.
type counter struct {
	mu      sync.Mutex
	numbers map[string]int64
}

func main() {
	listen := flag.String("listen", "127.0.0.1:6379", "address to serve on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	c := counter{numbers: map[string]int64{}}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go c.serve(conn)
	}
}

// serve answers one command as Redis would.
func (c *counter) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(io.LimitReader(conn, 512)).ReadString('\n')
	if err != nil {
		return
	}
	words := strings.Fields(line)
	if len(words) != 2 || !strings.EqualFold(words[0], "INCR") {
		fmt.Fprint(conn, "-ERR want INCR KEY\r\n")
		return
	}
	n, ok := c.increment(words[1])
	if !ok {
		fmt.Fprintf(conn, "-ERR more than %d keys\r\n", maxKeys)
		return
	}
	fmt.Fprintf(conn, ":%d\r\n", n)
}

func (c *counter) increment(key string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.numbers[key]; !known && len(c.numbers) >= maxKeys {
		return 0, false
	}
	c.numbers[key]++
	return c.numbers[key], true
}
