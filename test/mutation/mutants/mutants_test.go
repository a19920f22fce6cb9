package mutants

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	room = flag.String("room", "", "mutate only this room, or all whose name begins so")
	size = flag.Int("sample", 0, "how many mutants of a room to try; 0 for those of one room a day, -1 for all")
	seed = flag.Uint64("seed", 0, "what the sample follows from; 0 for the day")
	only = flag.String("only", "", "try only the mutants whose key, as file func: change, this regular expression finds")
	out  = flag.String("results", "", "a file to which each mutant is added, with its result and by which test it was noticed")
)

// score is what came of a room's mutants.
type score struct {
	mutants, broken, accepted, tried int
	results                          map[Result]int
	new                              []string // the survivors that the list does not name
	stale                            []string // what the list names and tests notice
}

func TestMutants(t *testing.T) {
	accepted, err := Accepted("../accepted.txt")
	require.NoError(t, err)
	if *seed == 0 {
		y, m, d := time.Now().UTC().Date()
		*seed = uint64(y*10000 + int(m)*100 + d)
	}
	draw := rand.New(rand.NewPCG(*seed, 0))
	t.Logf("seed %d: repeat with make mutate SEED=%d", *seed, *seed)
	rooms := slices.DeleteFunc(slices.Clone(Rooms), func(r Room) bool { return !strings.HasPrefix(r.Name, *room) })
	require.NotEmpty(t, rooms, "there is no room %q", *room)
	if *size == 0 {
		*size = sampleOfTheDay
		rooms = []Room{rooms[draw.IntN(len(rooms))]}
	}
	for _, r := range rooms {
		t.Run(r.Name, func(t *testing.T) {
			s := mutate(t, r, accepted, draw)
			t.Logf("%d mutants, of which %d do not compile and %d are accepted; %d tried: %d noticed, %d survived, %d not reached; %d of these are accepted",
				s.mutants, s.broken, s.accepted, s.tried, s.results[Noticed], s.results[Survived], s.results[NotReached],
				s.results[Survived]+s.results[NotReached]-len(s.new))
			for _, key := range s.stale {
				t.Logf("the list has what tests notice: %s", key)
			}
			for _, key := range s.new {
				t.Errorf("nothing notices %s", key)
			}
		})
	}
}

// mutate tries the mutants of a room, all or a sample.
func mutate(t *testing.T, r Room, accepted map[string]string, draw *rand.Rand) score {
	t.Helper()
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	begun := time.Now()
	binaries, mutants, broken, err := Build(t.Context(), root, t.TempDir(), r.Packages, r.Tests)
	require.NoError(t, err)
	built := time.Since(begun)
	s := score{mutants: len(mutants) + len(broken), broken: len(broken), results: map[Result]int{}}
	var index []Reach
	for _, b := range binaries {
		reach, failed, err := b.Index(t.Context(), r)
		require.NoError(t, err)
		for _, f := range failed {
			t.Logf("not asked: %s", f)
		}
		index = append(index, reach...)
	}
	t.Logf("built in %s, indexed %d tests in %s", built.Round(time.Second), len(index), (time.Since(begun) - built).Round(time.Second))
	for _, m := range mutants {
		if accepted[m.Key()] != "" {
			s.accepted++
		}
	}
	if *only != "" {
		wanted, err := regexp.Compile(*only)
		require.NoError(t, err)
		mutants = slices.DeleteFunc(mutants, func(m Mutant) bool { return !wanted.MatchString(m.Key()) })
	}
	if *size > 0 {
		mutants = slices.DeleteFunc(mutants, func(m Mutant) bool { return accepted[m.Key()] != "" })
		draw.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:min(*size, len(mutants))]
	}
	s.tried = len(mutants)
	results := io.Discard
	if *out != "" {
		f, err := os.OpenFile(*out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		defer f.Close()
		results = f
	}
	queue := make(chan Mutant)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for m := range queue {
				result, by := Try(t.Context(), m, index)
				mu.Lock()
				s.note(m, result, by, accepted)
				fmt.Fprintf(results, "%s\t%s\t%d\t%s\n", result, m.Key(), m.Line, by)
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	wg.Wait()
	return s
}

func (s *score) note(m Mutant, result Result, by string, accepted map[string]string) {
	s.results[result]++
	switch {
	case result == Noticed && accepted[m.Key()] != "":
		s.stale = append(s.stale, m.Key()+" ("+by+")")
	case result != Noticed && accepted[m.Key()] == "":
		s.new = append(s.new, fmt.Sprintf("%s (line %d, %s)", m.Key(), m.Line, result))
	}
}
