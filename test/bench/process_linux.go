package bench

import "syscall"

// childAttributes keep the terminal's Ctrl-C from the child, which is stopped
// in its turn, and end it should the benchmark be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
