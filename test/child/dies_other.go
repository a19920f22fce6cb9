//go:build !linux

package child

import "syscall"

// DiesWithUs are no attributes: only Linux can end a child with its parent.
func DiesWithUs() *syscall.SysProcAttr { return nil }
