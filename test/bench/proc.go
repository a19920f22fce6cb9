package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of times in /proc: USER_HZ is 100 on every Linux port.
const tick = 10 * time.Millisecond

// cpu is the processor time that a child has used so far.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of %s: %w", p.name, err)
	}
	t, err := parseStat(string(b))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of %s: %w", p.name, err)
	}
	return t, nil
}

// parseStat reads user and system time from /proc/PID/stat.
func parseStat(stat string) (time.Duration, error) {
	// The second field is the command in parentheses, which may hold spaces.
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	const utime, stime = 11, 12 // Fields 14 and 15 of proc(5), counted from the third.
	if end < 0 || len(fields) <= stime {
		return 0, fmt.Errorf("not the form of /proc/PID/stat: %q", stat)
	}
	var total time.Duration
	for _, field := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("not the form of /proc/PID/stat: %w", err)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// memory reads a line of /proc/PID/status, like VmRSS, in MiB.
func (p *process) memory(line string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of %s: %w", p.name, err)
	}
	mib, err := parseStatus(string(b), line)
	if err != nil {
		return 0, fmt.Errorf("reading the memory of %s: %w", p.name, err)
	}
	return mib, nil
}

func parseStatus(status, line string) (float64, error) {
	for l := range strings.Lines(status) {
		value, ok := strings.CutPrefix(l, line+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
		if err != nil {
			return 0, fmt.Errorf("not a size: %w", err)
		}
		return kib / 1024, nil
	}
	return 0, fmt.Errorf("no line %s", line)
}

// resetPeak sets VmHWM to what is in use now.
func (p *process) resetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak memory of %s: %w", p.name, err)
	}
	return nil
}

// ownCPU is the processor time that this process has used so far.
func ownCPU() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("reading the benchmark's processor time: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}
