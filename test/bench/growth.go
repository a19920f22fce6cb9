package bench

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// Growth draws how the cost of a new alert grows with the past, as SVG: its latency,
// alone, with ended objects of its own fingerprint, and how many a second are taken,
// as a part of bare creates, with objects of others. Each report is a line, by name.
func Growth(w io.Writer, names []string, reports []Report) error {
	own := chart{title: "alone, ms (p50), by ended objects of its own", log: true}
	for _, n := range pasts {
		own.ticks = append(own.ticks, grouped(n))
	}
	var others chart
	others.title = "under load, as a part of bare creates, by objects of others"
	sizes := sizesOf(reports)
	for _, n := range sizes {
		others.ticks = append(others.ticks, grouped(n))
	}
	for i, r := range reports {
		at := func(scenario string, size int) (m Measurement) {
			for _, m = range r.Medians {
				if m.Scenario == scenario && m.Size == size && m.Processes == 1 {
					return m
				}
			}
			return Measurement{}
		}
		alones := line{name: names[i]}
		for _, name := range alone {
			alones.values = append(alones.values, at(name, 0).P50)
		}
		news := line{name: names[i]}
		for _, size := range sizes {
			news.values = append(news.values, at("new", size).OfBare)
		}
		own.lines, others.lines = append(own.lines, alones), append(others.lines, news)
	}
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 300" font-family="sans-serif" font-size="12">` + "\n" +
		`<rect width="860" height="300" fill="#fff"/>` + "\n")
	own.draw(&b, 0)
	others.draw(&b, 430)
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the picture: %w", err)
	}
	return nil
}

// ReadReport reads what [Report.JSON] wrote.
func ReadReport(path string) (r Report, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("reading a report: %w", err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("reading the report %s: %w", path, err)
	}
	return r, nil
}

func sizesOf(reports []Report) (sizes []int) {
	seen := map[int]bool{}
	for _, r := range reports {
		for _, m := range r.Medians {
			if m.Scenario == "new" && !seen[m.Size] {
				seen[m.Size] = true
				sizes = append(sizes, m.Size)
			}
		}
	}
	return sizes
}

// chart has a value of each line for each tick; 0 is none.
type chart struct {
	title string
	ticks []string
	lines []line
	log   bool
}

type line struct {
	name   string
	values []float64
}

// lineColours tell the lines apart, also in print and for the colour-blind.
var lineColours = []string{"#c2410c", "#64748b", "#0f766e"}

// The plot of a chart, in the picture's units.
const left, top, width, height = 50, 45, 340, 210

func (c chart) draw(b *strings.Builder, x float64) {
	most := 0.0
	for _, l := range c.lines {
		for _, v := range l.values {
			most = max(most, v)
		}
	}
	scale := func(v float64) float64 { return v / max(most, 1) }
	if c.log {
		scale = func(v float64) float64 { return math.Log10(max(v, 1)) / math.Log10(max(most, 10)) }
	}
	text := func(x, y float64, anchor, colour, s string) {
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, html.EscapeString(s))
	}
	text(x+left, 20, "start", "#111", c.title)
	fmt.Fprintf(b, `<path d="M%.0f %d v%d h%d" fill="none" stroke="#111"/>`+"\n", x+left, top, height, width)
	step := float64(width) / float64(len(c.ticks))
	for i, tick := range c.ticks {
		text(x+left+step*(float64(i)+0.5), top+height+18, "middle", "#111", tick)
	}
	for i, l := range c.lines {
		colour := lineColours[i%len(lineColours)]
		var points []string
		for j, v := range l.values {
			if v == 0 {
				continue
			}
			px, py := x+left+step*(float64(j)+0.5), top+height*(1-scale(v))
			points = append(points, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px, py, colour)
			// The highest line's figure stands above it, the others' below.
			beside := py - 8
			if slices.ContainsFunc(c.lines, func(other line) bool { return other.values[j] > v }) {
				beside = py + 16
			}
			text(px, beside, "middle", colour, figure(v))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
		text(x+left+float64(i)*100, 36, "start", colour, "— "+l.name)
	}
}

// figure writes what is above ten without decimals.
func figure(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// grouped writes thousands apart: 20,000.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return grouped(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
