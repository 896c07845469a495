package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"shoal/api"
)

// Figures are those of one peer, labels those of all that are counted; one that waits is
// not said to be anywhere, though its last copy was.
func TestPrintWhy_Waiting(t *testing.T) {
	var out bytes.Buffer
	c := &cli{out: &out}
	c.printWhy(group{Why: api.Why{Slot: api.Slot{
		Slot: "shop/web.0", Phase: "waiting", Peer: "alpha", Token: 4, Detail: "failed 4 times, last on alpha: code 1",
		Waits: &api.Waiting{Asked: 5, Since: api.Age(time.Minute), NextTry: api.Age(300 * time.Millisecond), Fails: 4, Steward: "beta", Refusals: []api.Refusal{
			{Reason: "cpu: needs 4, 2 free of 4", Count: 3}, {Reason: "label: wants zone == roof", Count: 2}, {Reason: "memory: needs 2.0 GiB, 1.0 GiB free of 4.0 GiB", Count: 1},
		}},
	}}})
	want := `shop/web.0 waits: failed 4 times, last on alpha: code 1
  for 60s; 5 peers asked by beta; next try within 1s
  refused by 3 peers: cpu; one of them: needs 4, 2 free of 4
  refused by 2 peers: label: wants zone == roof
  refused by 1 peer: memory: needs 2.0 GiB, 1.0 GiB free of 4.0 GiB
  it has failed 4 times since its spec changed
  its last copy was on alpha, under token 4; ` + "`shoal logs shop/web.0`" + ` shows its output
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	c.printWhy(group{Why: api.Why{Slot: api.Slot{Slot: "shop/web.0", Phase: "serving", Peer: "alpha", Token: 4, Run: 3}}})
	if !strings.HasSuffix(strings.SplitN(out.String(), "\n", 2)[0], ", under token 4, started 3 times") {
		t.Errorf("%s", out.String())
	}
}
