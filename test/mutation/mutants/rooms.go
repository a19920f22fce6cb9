package mutants

import "slices"

// Room is what is mutated together, and whose tests ask.
type Room struct {
	Name string
	// Packages are mutated, and Tests are the packages whose tests are run: the same
	// ones, if there are no others.
	Packages, Tests []string
	// Reduced are tests that take too long to be run whole for each mutant, with the
	// flags that make them short.
	Reduced map[string][]string
	// Thorough are flags with which such a test is run for a mutant that nothing else
	// noticed.
	Thorough map[string][]string
}

// Rooms are all that are mutated.
var Rooms = slices.Concat(
	[]Room{
		{
			Name: "dedup", Packages: []string{"./dedup", "./dedup/client"}, Tests: []string{"./dedup", "./dedup/client"},
			Reduced: map[string][]string{
				"TestEverySchedule":   {"-bound", "40"},
				"TestRandomSchedules": {"-rapid.checks", "2"},
			},
			Thorough: map[string][]string{"TestEverySchedule": {"-bound", "2000"}},
		},
		{Name: "function", Packages: []string{"./function"}, Tests: []string{"./function"}, Reduced: patient},
		{Name: "function/receive", Packages: []string{"./function/receive"}, Tests: []string{"./function/receive", "./function", "./function/deadletters"}, Reduced: patient},
		{Name: "function/telemetry", Packages: []string{"./function/telemetry"}, Tests: []string{"./function/telemetry", "./function"}, Reduced: patient},
	},
	own("mapping", "config", "audit", "function/cmd", "function/deadletters", "function/kube", "function/source"),
)

// patient leaves out the test that waits for real deadlines: it takes 40 seconds for each
// mutant that nothing else notices.
var patient = map[string][]string{"TestWhatIsStuckHoldsFewGoroutines": {"-test.skip", "."}}

// own are rooms that only their own tests ask about.
func own(names ...string) (rooms []Room) {
	for _, name := range names {
		rooms = append(rooms, Room{Name: name, Packages: []string{"./" + name}, Tests: []string{"./" + name}})
	}
	return rooms
}
