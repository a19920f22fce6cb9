package weak

import "testing"

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
