package build

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLibrariesAreReadFromLdd(t *testing.T) {
	var found []string
	for _, match := range library.FindAllStringSubmatch(`	linux-vdso.so.1 (0x00007ffd)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f56)
	/lib64/ld-linux-x86-64.so.2 (0x00007f57)
`, -1) {
		found = append(found, match[1])
	}
	require.Equal(t, []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}, found)
}
