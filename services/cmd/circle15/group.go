package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// maxTypos is how many letters a word may differ from the command that was meant.
const maxTypos = 2

// group makes cmd hold commands and do nothing else: alone it shows its help, and it refuses a word that is none of them,
// which cobra answers with the help and success where a group is not the root.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = maxTypos
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		meant := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			meant = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("%s has no command %q%s", cmd.CommandPath(), args[0], meant)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(commands...)
	return cmd
}
