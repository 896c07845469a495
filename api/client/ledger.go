package client

import (
	"context"
	"strconv"

	"shoal/api"
)

// Ledger sums up what the peer holds.
func (c *Client) Ledger(ctx context.Context) (api.Ledger, error) {
	return get[api.Ledger](ctx, c, "/ledger")
}

// RecordOptions say which records are wanted. Empty fields ask for all.
type RecordOptions struct {
	Kind   string // or several, with commas between
	Issuer string // a peer's name, ID or the end of it
	Job    string
	Limit  int
	Raw    bool // with the encoded record
}

// LedgerRecords gives records, one by one, as they were at one moment.
func (c *Client) LedgerRecords(ctx context.Context, o RecordOptions, f func(api.LedgerRecord) error) error {
	limit := ""
	if o.Limit > 0 {
		limit = strconv.Itoa(o.Limit)
	}
	q := queryOf([]string{"kind", o.Kind, "issuer", o.Issuer, "job", o.Job, "limit", limit, "raw", flag(o.Raw)})
	return stream(ctx, c, "/ledger/records"+q, f)
}

// LedgerRecord returns one record in full, named by its key or its number.
func (c *Client) LedgerRecord(ctx context.Context, of string) (api.LedgerEntry, error) {
	return get[api.LedgerEntry](ctx, c, "/ledger/record", "of", of)
}

// LedgerDiff gives what this peer and another hold that differs, line by line.
func (c *Client) LedgerDiff(ctx context.Context, peer string, f func(api.LedgerDiff) error) error {
	return stream(ctx, c, "/ledger/diff"+queryOf([]string{"peer", peer}), f)
}

// LedgerVerify gives each check as it ends, and how far the present one is.
func (c *Client) LedgerVerify(ctx context.Context, f func(api.LedgerCheck) error) error {
	return stream(ctx, c, "/ledger/verify", f)
}

// LedgerImport brings records into the ledger; they are on the peer's disk when it
// returns.
func (c *Client) LedgerImport(ctx context.Context, r api.ImportRequest) (api.Import, error) {
	return change[api.Import](ctx, c, "/ledger/import", r)
}
