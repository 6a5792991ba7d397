package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"circle15.dev/internal/issuer"
)

func newIssuerCommand() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "issuer FOLDER --url URL",
		Short: "Make the key of a built-in issuer, for demonstrations and tests on Kubernetes",
		Example: "  circle15 issuer .issuer --url http://issuer.circle15.svc\n" +
			"  kubectl create secret generic circle15-issuer --from-file=.issuer/issuer.key",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o700); err != nil {
				return err
			}
			i, err := issuer.Open(args[0], url)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s holds the key of the issuer %s\n", args[0], i.URL())
			return err
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "identifier of the issuer (the tokens' iss)")
	if err := cmd.MarkFlagRequired("url"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}
