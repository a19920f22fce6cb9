package deadletters

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"onefire/config"
	"onefire/function/cmd/help"
)

// List writes one line for each dead letter, the oldest first. It marks those that are
// foreign: ConfigMaps with the dead letter's label that this store did not make.
func List(ctx context.Context, c config.DeadLetters, out io.Writer) error {
	a, err := open(c)
	if err != nil {
		return err
	}
	all, err := a.oldestFirst(ctx)
	if err != nil {
		return fmt.Errorf("listing dead letters in namespace %s: %w", c.Namespace, err)
	}
	if len(all) == 0 {
		fmt.Fprintf(out, "no dead letters in namespace %s\n", c.Namespace)
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSINCE\tEVENT TIME\tTYPE\tALERT\tWHY")
	for i := range all {
		m := &all[i]
		switch err := a.check(ctx, m.Name); {
		case errors.Is(err, errMissing): // It was replayed or deleted after it was listed.
			continue
		case errors.Is(err, errForeign):
			fmt.Fprintf(table, "%s\t%s\t-\t-\t-\t%s\n", m.Name, m.CreationTimestamp.UTC().Format(time.RFC3339), sanitize(err.Error()))
			continue
		case err != nil:
			return fmt.Errorf("reading %s: %w", m.Name, err)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.CreationTimestamp.UTC().Format(time.RFC3339), sanitize(cmp.Or(m.Annotations[timeAnnotation], "-")),
			cmp.Or(m.Labels[eventTypeLabel], "-"), cmp.Or(m.Labels[alertnameLabel], "-"), sanitize(m.Annotations[errorAnnotation]))
	}
	return table.Flush()
}

// Show writes the event of a dead letter to out, as structured JSON, and the reason why
// it is one to notes.
func Show(ctx context.Context, c config.DeadLetters, name string, out, notes io.Writer) error {
	a, err := open(c)
	if err != nil {
		return err
	}
	letter, err := a.letter(ctx, name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	text, err := unpack(letter)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if _, err := read(letter); err != nil {
		fmt.Fprintln(notes, sanitize(err.Error()))
	}
	for _, key := range slices.Sorted(maps.Keys(letter.Annotations)) {
		fmt.Fprintf(notes, "%s: %s\n", key, sanitize(letter.Annotations[key]))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	fmt.Fprintln(out, indented.String())
	return nil
}

// Replay posts dead letters to the function, either those with the given names or all,
// the oldest first. It deletes those that the function accepts, and writes the outcome of
// each to out. It fails when any dead letter is left.
func Replay(ctx context.Context, c config.DeadLetters, names []string, out io.Writer) error {
	p, names, err := replaying(ctx, c, names, out)
	if err != nil {
		return err
	}
	return p.replay(ctx, names)
}

// DryRun asks the function what a [Replay] of these dead letters would do, and writes the
// answers. Nothing is settled and nothing is deleted. It fails when the function did not
// answer for one of them.
func DryRun(ctx context.Context, c config.DeadLetters, names []string, out io.Writer) error {
	p, names, err := replaying(ctx, c, names, out)
	if err != nil {
		return err
	}
	return p.dryRun(ctx, names)
}

// replaying makes what a replay needs, and returns the names of all dead letters if none
// are given.
func replaying(ctx context.Context, c config.DeadLetters, names []string, out io.Writer) (*replayer, []string, error) {
	a, err := open(c)
	if err != nil {
		return nil, nil, err
	}
	every := slices.Equal(names, []string{"all"})
	if every {
		all, err := a.oldestFirst(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("listing dead letters in namespace %s: %w", c.Namespace, err)
		}
		names = nil
		for i := range all {
			names = append(names, all[i].Name)
		}
	}
	p := newReplayer(a, c.ReplayURL, c.ReplayTokenFile, out)
	p.all = every
	return p, names, nil
}

// oldestFirst lists dead letters in the order in which they were kept, to the second.
func (a *api) oldestFirst(ctx context.Context) ([]metav1.PartialObjectMetadata, error) {
	all, err := a.list(ctx)
	slices.SortFunc(all, func(x, y metav1.PartialObjectMetadata) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.Name, y.Name))
	})
	return all, err
}

// Usage says how the command is called.
const Usage = `usage: onefire-deadletters                    keep dead letters until SIGTERM
       onefire-deadletters list               print one line for each, the oldest first
       onefire-deadletters show NAME          print the event, and why it is a dead letter
       onefire-deadletters replay NAME…|all   post events to the function; delete those that it accepts
       onefire-deadletters replay -dry-run NAME…|all   print what the function would do; change nothing
       onefire-deadletters version            print the version of this binary
`

// Run runs the command that the arguments name, other than version, which needs no
// configuration. Its error is a [help.Error] if they name none.
func Run(ctx context.Context, c config.DeadLetters, args []string, out, notes io.Writer) error {
	replay := Replay
	if len(args) > 1 && args[0] == "replay" && args[1] == "-dry-run" {
		replay, args = DryRun, slices.Delete(slices.Clone(args), 1, 2)
	}
	switch {
	case len(args) == 0:
		return Serve(ctx, c, notes)
	case args[0] == "list" && len(args) == 1:
		return List(ctx, c, out)
	case args[0] == "show" && len(args) == 2:
		return Show(ctx, c, args[1], out, notes)
	case args[0] == "replay" && len(args) > 1 && (len(args) == 2 || !slices.Contains(args, "all")):
		return replay(ctx, c, args[1:], out)
	}
	return wrong(args)
}

// wrong says why arguments name no command.
func wrong(args []string) error {
	switch command := args[0]; command {
	case "list", "version":
		if err := help.None(command, args[1:]); err != nil {
			return err
		}
	case "show":
		return help.Error("show takes one NAME")
	case "replay":
		return help.Error("replay takes NAMEs, or all")
	}
	return help.Unknown(args[0])
}
