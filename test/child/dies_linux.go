package child

import "syscall"

// DiesWithUs are the attributes of a child that is to end when this process is
// killed.
func DiesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
