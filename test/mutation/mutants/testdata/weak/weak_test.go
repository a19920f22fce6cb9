package weak

import (
	"flag"
	"testing"
)

var all = flag.Bool("all", false, "look at the answer")

func TestBoth(t *testing.T) {
	if a, err := both(); err != nil || a.text != "b" {
		t.Fatal(a, err)
	}
}

func TestErrors(t *testing.T) {
	if _, err := say(-1, false, false, ""); err == nil {
		t.Fatal("no error")
	}
}

func TestMost(t *testing.T) {
	if _, err := say(0, true, true, ""); *all && err == nil {
		t.Fatal("no error")
	}
}
