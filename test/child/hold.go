package child

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Hold takes a folder that exists for this process alone, until release is
// called or the process ends in whatever way. Its error names the process that
// holds the folder.
func Hold(dir string) (release func(), err error) {
	path := filepath.Join(dir, "pid")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("holding %s: %w", dir, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer file.Close()
		// A process that has just taken the folder has not written its number yet.
		pid, _ := io.ReadAll(io.LimitReader(file, 20))
		return nil, fmt.Errorf("%s is in use by the process %s: stop that one first", dir, strings.TrimSpace(string(pid)))
	}
	if err == nil {
		err = errors.Join(file.Truncate(0), write(file))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("holding %s: %w", dir, err), file.Close())
	}
	// The file stays: another process may have it open already.
	return func() { file.Close() }, nil
}

func write(file *os.File) error {
	_, err := fmt.Fprintln(file, os.Getpid())
	return err
}

// Unused asks that nobody listens at an address yet. Its error says what to do.
func Unused(address string) error {
	l, err := net.Listen("tcp", address) //nolint:noctx // It waits for nothing.
	if err != nil {
		return fmt.Errorf("another program has %s: end it, or choose another address: %w", address, err)
	}
	return l.Close()
}
