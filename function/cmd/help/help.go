// Package help is what the programs have in common in telling how to call them.
package help

import (
	"fmt"
	"io"
	"slices"
)

// Error says what is wrong with a program's arguments.
type Error string

func (e Error) Error() string { return string(e) }

// Asked tells whether the first argument asks for help.
func Asked(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0])
}

// None returns an [Error] if a command that takes no arguments has some.
func None(command string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return Error(fmt.Sprintf("%s takes no arguments: %q", command, args[0]))
}

// Unknown returns an [Error] for a command that a program does not have.
func Unknown(command string) error { return Error(fmt.Sprintf("unknown command %q", command)) }

// Print prints what is wrong with the arguments of a program, and how to ask for help.
// command is the command that can give it, and empty for the program itself.
func Print(w io.Writer, program, command string, err error) {
	if command != "" {
		command += " "
	}
	fmt.Fprintf(w, "%s: %v\nfor help: %s %s-h\n", program, err, program, command)
}
