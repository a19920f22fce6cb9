package mutants

import "time"

const (
	// maxText is the longest part of the source in a mutant's text, in characters: more
	// than a line has, so that hardly two are the same.
	maxText = 100
	// quick is how long the quickest tests that reach a mutant may take together, as the
	// index says, to be run before all others. Most mutants are noticed by them.
	quick = time.Second
	// patience is how much longer than in the index tests may take with a mutant in
	// them, and leastTime what they get at least. A mutant that takes longer hangs.
	patience  = 4
	leastTime = 15 * time.Second
	// indexTime bounds one test of the index.
	indexTime = 5 * time.Minute
	// workers is how many mutants are tried at once, and parallel how many tests in
	// each of these processes: together no more than a small machine can do.
	workers  = 2
	parallel = 2
	// sampleOfTheDay is how many mutants `make test` tries: a minute.
	sampleOfTheDay = 30
)
