package report

import (
	"fmt"
	"html"
	"strings"
)

// page fills the page in. (A template engine would do the same and keep every exported
// method of the program in the binary, 5 MB.) Every text goes through esc.
func (v *view) page(data string) string {
	notes := ""
	for _, n := range v.Notes {
		notes += " " + esc(n)
	}
	return strings.NewReplacer(
		"[[title]]", esc(v.Title), "[[style]]", style, "[[verdict]]", v.verdict(), "[[facts]]", v.factList(), "[[notes]]", notes,
		"[[checks]]", v.checkRows(), "[[kinds]]", v.kindRows(), "[[text]]", v.source(), "[[data]]", data, "[[script]]", script,
	).Replace(pageText)
}

func esc(text string) string { return html.EscapeString(text) }

func (v *view) verdict() string {
	class := "good"
	if v.Bad {
		class = "bad"
	}
	out := fmt.Sprintf(`<div class="verdict %s"><span class="chip">%s</span><div><strong>%s</strong>`, class, esc(v.Verdict), esc(v.Headline))
	if f := v.Failure; f != nil {
		out += "<p>"
		if f.Rule != "" {
			out += "<b>" + esc(f.Rule) + "</b> at " + v.FailedAt
		} else {
			out += "At " + v.FailedAt
		}
		if f.Line != "" {
			out += " (<code>" + esc(f.Line) + "</code>)"
		}
		out += ": " + esc(f.Text) + "</p>"
	}
	return out + fmt.Sprintf(`<p class="replay"><code id="replay">%s</code><button type="button" id="copy">copy</button>`+
		`<span class="dim">the very same run; trace %s</span></p></div></div>`, esc(v.Replay), esc(v.Hash))
}

func (v *view) factList() string {
	out := ""
	for _, f := range v.Facts {
		out += fmt.Sprintf(`<div><dt>%s</dt><dd>%s</dd><dd class="more">%s</dd></div>`, esc(f.Label), esc(f.Value), esc(f.More))
	}
	return out
}

func (v *view) checkRows() string {
	out := ""
	for _, c := range v.Checks {
		class := ""
		if c.Bad {
			class = ` class="bad"`
		}
		out += fmt.Sprintf(`<tr%s><td><b>%s</b></td><td>%s</td><td class="n">%s</td><td class="state">%s</td></tr>`+"\n",
			class, esc(c.Rule), esc(c.Means), esc(c.Count), esc(c.State))
	}
	return out
}

func (v *view) kindRows() string {
	out := ""
	for _, k := range v.Kinds {
		out += fmt.Sprintf(`<tr><td>%s</td><td class="n">%s</td><td class="meter"><i style="width:%g%%"></i></td></tr>`+"\n",
			esc(k.Name), esc(k.Count), k.Share)
	}
	return out
}

func (v *view) source() string {
	if v.Text == "" {
		return ""
	}
	return "<details><summary>The scenario</summary><pre>" + esc(v.Text) + "</pre></details>"
}
