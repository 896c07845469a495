package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
)

func (c *cli) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "why SLOT|JOB",
		Short:             "Explain where a slot is, or why it waits: bids, refusals, who decided",
		Args:              wants(1, 1, "one slot or job"),
		ValidArgsFunction: c.complete(false, slotNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.tellUnready(cmd.Context()); err != nil {
				return err
			}
			whys, err := c.client().Why(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.answer(whys, func() {
				for i, g := range alike(whys.Slots) {
					if i > 0 {
						fmt.Fprintln(c.out)
					}
					c.printWhy(g)
				}
				if whys.Omitted > 0 {
					fmt.Fprintf(c.out, "\n%s not shown: ask for one by its name\n", count(whys.Omitted, "further slot"))
				}
				c.silent(whys.Freshness)
			})
		},
	}
}

// A group is slots of one answer: one that is held, or all that wait for the same.
type group struct {
	api.Why
	others int // slots beside the one shown
}

// alike groups the slots that wait for the same, each where its first one is.
func alike(slots []api.Why) []group {
	var out []group
	seen := map[string]int{}
	for _, w := range slots {
		if isWaiting(w.Slot) && w.Sale == nil {
			key := w.Slot.Detail + "\x00" + w.WaysOut
			if wt := w.Slot.Waits; wt != nil {
				key += fmt.Sprint("\x00", wt.Refusals, wt.Closest, wt.Fails, wt.Asked)
			}
			if at, ok := seen[key]; ok {
				out[at].others++
				continue
			}
			seen[key] = len(out)
		}
		out = append(out, group{Why: w})
	}
	return out
}

func (c *cli) printWhy(w group) {
	s := w.Slot
	if isWaiting(s) {
		c.printWait(w)
	} else {
		fmt.Fprintf(c.out, "%s is %s on %s%s, under token %d%s\n", s.Slot, phaseText(s), s.Peer, sinceWhen(s.For), s.Token, startsText(s.Run))
		if text := detail(s); text != "" {
			fmt.Fprintf(c.out, "  %s\n", text)
		}
	}
	if w.WaysOut != "" {
		fmt.Fprintf(c.out, "  %s\n", oneLine(w.WaysOut))
	}
	if !isWaiting(s) && w.Sale == nil && strings.Contains(s.Slot, "@") {
		fmt.Fprintln(c.out, "  it is that peer's own, and was not sold")
	}
	if w.Sale != nil {
		c.printSale(s, w.Sale)
	}
	for _, l := range w.Surplus {
		if l.Phase == "removed" {
			fmt.Fprintf(c.out, "  another copy, under token %d, went with %s, which was removed\n", l.Token, l.Peer)
			continue
		}
		fmt.Fprintf(c.out, "  another copy is %s on %s under token %d and will end: %s\n", l.Phase, l.Peer, l.Token, s.Slot+" goes to the claim that wins")
	}
	if len(w.Stewards) > 0 {
		fmt.Fprintf(c.out, "  its steward is %s%s\n", w.Stewards[0], next(w.Stewards[1:]))
	}
}

func next(others []string) string {
	if len(others) == 0 {
		return ""
	}
	return ", then " + strings.Join(others[:min(len(others), 2)], ", ")
}

func (c *cli) printWait(w group) {
	s := w.Slot
	who := s.Slot + " waits"
	if w.others > 0 {
		who = fmt.Sprintf("%s and %s wait", s.Slot, count(w.others, "other slot"))
	}
	fmt.Fprintf(c.out, "%s: %s\n", who, orElse(oneLine(s.Detail), "no steward has said why yet"))
	wt := s.Waits
	if wt == nil {
		return
	}
	fmt.Fprintf(c.out, "  for %s", age(wt.Since))
	if wt.Asked > 0 {
		fmt.Fprintf(c.out, "; %s asked", count(wt.Asked, "peer"))
	}
	if wt.Steward != "" && wt.Asked > 0 {
		fmt.Fprintf(c.out, " by %s", wt.Steward)
	}
	if next := nextTry(wt); next != "" {
		fmt.Fprintf(c.out, "; %s", next)
	}
	fmt.Fprintln(c.out)
	c.printRefusals(wt.Refusals)
	if wt.Closest != "" {
		fmt.Fprintf(c.out, "  closest: %s\n", oneLine(wt.Closest))
	}
	if wt.Fails > 0 {
		fmt.Fprintf(c.out, "  it has failed %s since its spec changed\n", count(int(wt.Fails), "time"))
	}
	if s.Peer != "" {
		fmt.Fprintf(c.out, "  its last copy was on %s, under token %d; `shoal logs %s` shows its output\n", s.Peer, s.Token, s.Slot)
	}
}

// isWaiting reports whether nobody holds a slot. A peer is named all the same where its
// last copy failed.
func isWaiting(s api.Slot) bool { return s.Peer == "" || s.Phase == "waiting" }

// nextTry says when a waiting slot is offered again; "": nobody has said.
func nextTry(wt *api.Waiting) string {
	switch d := time.Duration(wt.NextTry); {
	case d <= 0 && wt.Next == "":
		return ""
	case d <= 0:
		return "next try " + oneLine(wt.Next)
	case d < time.Second:
		return "next try within 1s"
	}
	return "next try in " + age(wt.NextTry)
}

// startsText says how often a holder has started its container, where that is not once.
func startsText(run uint32) string {
	switch run {
	case 0:
		return ", not started yet"
	case 1:
		return ""
	}
	return fmt.Sprintf(", started %d times", run)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (c *cli) printSale(s api.Slot, sale *api.Sale) {
	if sale.Standing {
		fmt.Fprintf(c.out, "  sold by %s on standing bids of %s, %d could take it; after waiting %s\n",
			sale.Steward, count(int(sale.Asked), "peer"), sale.Passed, took(sale.Waited))
	} else {
		fmt.Fprintf(c.out, "  sold by %s: %s asked, %d could take it; decided in %s, after waiting %s\n",
			sale.Steward, count(int(sale.Asked), "peer"), sale.Passed, took(sale.Took), took(sale.Waited))
	}
	columns := []string{"PEER", "COPIES HERE", "COST", "ROOM", ""}
	isSpread := slices.ContainsFunc(sale.Bids, func(b api.Bid) bool { return len(b.Around) > 0 })
	if isSpread {
		columns = slices.Insert(columns, 1, "AROUND")
	}
	var rows [][]string
	for i, b := range sale.Bids {
		mark := ""
		if b.Peer == s.Peer {
			mark = "holds it"
		} else if i == 0 {
			mark = "best bid, but did not take it"
		}
		row := []string{b.Peer, fmt.Sprint(b.Copies), costText(b), fmt.Sprint(b.Room), mark}
		if isSpread {
			row = slices.Insert(row, 1, strings.Trim(fmt.Sprint(b.Around), "[]"))
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		fmt.Fprintln(c.out, "  bids, best first (term by term, lower is better):")
		c.table("    ", columns, rows)
	}
	c.printRefusals(sale.Refusals)
}

// costText is a bid's cost class with what it is made of: "9: fetch 3, link 6".
func costText(b api.Bid) string {
	var parts []string
	for _, t := range b.Terms {
		parts = append(parts, fmt.Sprintf("%s %d", t.Name, t.Cost))
	}
	if len(parts) == 0 {
		return fmt.Sprint(b.Bucket)
	}
	return fmt.Sprintf("%d: %s", b.Bucket, strings.Join(parts, ", "))
}

func (c *cli) printRefusals(refusals []api.Refusal) {
	for _, r := range refusals {
		fmt.Fprintf(c.out, "  refused by %s: %s\n", count(int(r.Count), "peer"), refusalText(r))
	}
}

// refusalText tells a reason. Its figures are those of one peer: of several they are an
// example. Labels are counted one by one, so that all peers lack the one that is named.
func refusalText(r api.Refusal) string {
	class, figures, has := strings.Cut(oneLine(r.Reason), ": ")
	if !has || r.Count < 2 || class == "label" {
		return oneLine(r.Reason)
	}
	return fmt.Sprintf("%s; one of them: %s", class, figures)
}
