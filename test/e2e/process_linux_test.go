package e2e

import "syscall"

// diesWithUs ends a child when the test process is killed.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
